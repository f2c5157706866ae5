//! Protocols with one fault each. The model proves itself by finding every one.

use crate::properties as sentence;
use crate::scope::{self, Scope};

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    // Order.
    /// KV is written before the change is stored.
    PublishesBeforeItStores,
    /// The answer leaves before the change is stored.
    AnswersBeforeItStores,
    /// An assertion is recorded as spent when its token is on its way.
    SpendsWhenItAnswers,
    /// The answer waits for the feed and not for KV.
    AnswersBeforePublication,
    /// The answer waits for KV, and the feed is told by the alarm.
    AnswersBeforeReport,
    /// A write to KV is awaited without a limit.
    WaitsForEver,
    /// A second write to KV starts while one is awaited.
    WritesOverlap,
    // What is owed.
    /// The alarm is not part of the commit.
    CommitForgetsTheAlarm,
    /// The alarm does not set the next one before it begins.
    AlarmIsNotPostponed,
    /// A write that was given up is not followed by rewrites.
    NoRewrites,
    /// The first write that succeeds ends the rewrites.
    OneRewrite,
    /// A rewrite is skipped, since KV confirmed the same value.
    RewritesAreSkipped,
    /// A write whose end a crash left unknown is not followed.
    CrashesAreNotFollowed,
    /// The same of a rewrite alone.
    CrashesInRewritesAreNotFollowed,
    /// A new instance takes a rewrite that is due for one that was begun, and puts it off. This was in the code until the model found it.
    DueCountsAsBegun,
    /// What KV is thought to hold outlives a write that failed.
    DigestOutlivesFailure,
    /// A write confirms changes that came after it began.
    ConfirmsWhatIsNewer,
    /// A report counts as having told what was owed after it was made.
    ToldCountsWhatIsNewer,
    /// A report that was taken clears what is owed under its keys since.
    DropsWhatIsOwedAnew,
    /// A failed write is answered as a success.
    UnshownIsSuccess,
    /// A failed report is answered as a success.
    UntoldIsSuccess,
    /// The feed is not told that a client was restored.
    RestorationIsNotReported,
    /// The switch to immediate counts before KV shows it.
    SwitchCountsAtOnce,
    /// The switch to eventual does not look for ends ahead. This was in the code until it was read for the model.
    SwitchForgetsEndsAhead,
    // Which end counts.
    /// A rotation sets a later end than the one that was settled.
    LaterEndWins,
    /// The feed takes the later of two ends of a token.
    LaterEndWinsInFeed,
    // The feed.
    /// The feed takes reports with a lower number than what it has.
    FeedTakesLowerNumbers,
    /// The feed ignores a report with the number that it has: `>=` for `>`.
    FeedIgnoresTheSameNumber,
    /// An entry that changes keeps its `seq`.
    RenewalKeepsItsSeq,
    /// The feed answers before it has stored.
    FeedAnswersBeforeItStores,
    /// An isolate answers from its copy, however old that is.
    CopyIsNotRenewed,
    /// An isolate takes an answer that was overtaken.
    OvertakenAnswerIsTaken,
    // The exchange.
    /// An isolate keeps what it read of KV for good.
    KeptForTooLong,
    /// The exchange of an immediate client's token follows KV.
    ImmediateFollowsKv,
}

impl Mutant {
    pub const ALL: [Self; 34] = [
        Self::PublishesBeforeItStores,
        Self::AnswersBeforeItStores,
        Self::SpendsWhenItAnswers,
        Self::AnswersBeforePublication,
        Self::AnswersBeforeReport,
        Self::WaitsForEver,
        Self::WritesOverlap,
        Self::CommitForgetsTheAlarm,
        Self::AlarmIsNotPostponed,
        Self::NoRewrites,
        Self::OneRewrite,
        Self::RewritesAreSkipped,
        Self::CrashesAreNotFollowed,
        Self::CrashesInRewritesAreNotFollowed,
        Self::DueCountsAsBegun,
        Self::DigestOutlivesFailure,
        Self::ConfirmsWhatIsNewer,
        Self::ToldCountsWhatIsNewer,
        Self::DropsWhatIsOwedAnew,
        Self::UnshownIsSuccess,
        Self::UntoldIsSuccess,
        Self::RestorationIsNotReported,
        Self::SwitchCountsAtOnce,
        Self::SwitchForgetsEndsAhead,
        Self::LaterEndWins,
        Self::LaterEndWinsInFeed,
        Self::FeedTakesLowerNumbers,
        Self::FeedIgnoresTheSameNumber,
        Self::RenewalKeepsItsSeq,
        Self::FeedAnswersBeforeItStores,
        Self::CopyIsNotRenewed,
        Self::OvertakenAnswerIsTaken,
        Self::KeptForTooLong,
        Self::ImmediateFollowsKv,
    ];

    /// The property that it breaks, and a bound within which it does.
    pub const fn breaks(self) -> (&'static str, Scope) {
        match self {
            Self::PublishesBeforeItStores => (sentence::BLAMES, scope::REVOCATIONS),
            Self::AnswersBeforeItStores => (sentence::STORED, scope::RETIREMENT),
            Self::SpendsWhenItAnswers => (sentence::ONE_USE, scope::ONE_USE),
            Self::AnswersBeforePublication => (sentence::SHOWN, scope::REVOCATIONS),
            Self::AnswersBeforeReport => (sentence::TOLD, scope::REVOCATIONS),
            Self::WaitsForEver => (sentence::GOES_ON, scope::REVOCATIONS),
            Self::WritesOverlap => (sentence::ONE_WRITE, scope::REVOCATIONS),
            Self::CommitForgetsTheAlarm => (sentence::ALARM, scope::REVOCATIONS),
            Self::AlarmIsNotPostponed => (sentence::ALARM, scope::REVOCATIONS),
            Self::NoRewrites => (sentence::SHOWN, scope::RETIREMENT),
            Self::OneRewrite => (sentence::SHOWN, scope::RETIREMENT),
            Self::RewritesAreSkipped => (sentence::SHOWN, scope::SWITCH),
            Self::CrashesAreNotFollowed => (sentence::SHOWN, scope::RETIREMENT),
            Self::CrashesInRewritesAreNotFollowed => (sentence::SHOWN, scope::REWRITES),
            Self::DueCountsAsBegun => (sentence::DONE, scope::RETIREMENT),
            Self::DigestOutlivesFailure => (sentence::CONFIRMED, scope::SUSPENSION),
            Self::ConfirmsWhatIsNewer => (sentence::CONFIRMED, scope::RETIREMENT),
            Self::ToldCountsWhatIsNewer => (sentence::TOLD, scope::RETIREMENT),
            Self::DropsWhatIsOwedAnew => (sentence::BLAMES, scope::SUSPENSION),
            Self::UnshownIsSuccess => (sentence::SHOWN, scope::REVOCATIONS),
            Self::UntoldIsSuccess => (sentence::TOLD, scope::REVOCATIONS),
            Self::RestorationIsNotReported => (sentence::RESTORED, scope::FOLLOWER),
            Self::SwitchCountsAtOnce => (sentence::SHOWN, scope::SWITCH),
            Self::SwitchForgetsEndsAhead => (sentence::DONE, scope::SWITCH_BACK),
            Self::LaterEndWins => (sentence::AT_ONCE, scope::RETIREMENT),
            Self::LaterEndWinsInFeed => (sentence::EARLIEST, scope::RETIREMENT),
            Self::FeedTakesLowerNumbers => (sentence::BLAMES, scope::SUSPENSION),
            Self::FeedIgnoresTheSameNumber => (sentence::HOUR_LONG, scope::SUSPENSION),
            Self::RenewalKeepsItsSeq => (sentence::SAME, scope::FOLLOWER),
            Self::FeedAnswersBeforeItStores => (sentence::TOLD, scope::REVOCATIONS),
            Self::CopyIsNotRenewed => (sentence::MISSES, scope::FOLLOWER),
            Self::OvertakenAnswerIsTaken => (sentence::SEQ, scope::OVERTAKING),
            Self::KeptForTooLong => (sentence::LAG, scope::LOCATIONS),
            Self::ImmediateFollowsKv => (sentence::SHOWN, scope::SWITCH),
        }
    }
}
