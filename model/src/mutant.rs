//! Protocols with one fault each, to test the model: it must find every one.

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
    /// An assertion is recorded as spent only when the answer leaves.
    SpendsWhenItAnswers,
    /// The answer waits for the feed, but not for KV.
    AnswersBeforePublication,
    /// The answer waits for KV, but not for the feed, to which the alarm reports.
    AnswersBeforeReport,
    /// A write to KV has no timeout.
    WaitsForEver,
    /// A second write to KV starts while one is awaited.
    WritesOverlap,
    // Pending work.
    /// The alarm is not part of the commit.
    CommitForgetsTheAlarm,
    /// The alarm does not set the next one first.
    AlarmIsNotPostponed,
    /// A timed-out write is not followed by rewrites.
    NoRewrites,
    /// The first write that succeeds ends the rewrites.
    OneRewrite,
    /// A rewrite is skipped if KV has confirmed the same value.
    RewritesAreSkipped,
    /// A write whose outcome a crash left unknown is not followed by rewrites.
    CrashesAreNotFollowed,
    /// As the previous fault, but for rewrites only.
    CrashesInRewritesAreNotFollowed,
    /// A new instance treats a due rewrite as one that was begun, and postpones it. This bug was in the code until the
    /// model found it.
    DueCountsAsBegun,
    /// The digest of KV's value is kept after a failed write.
    DigestOutlivesFailure,
    /// A write confirms changes that came after it began.
    ConfirmsWhatIsNewer,
    /// An accepted report counts ends as reported that were stored after it was made.
    ReportedCountsWhatIsNewer,
    /// An accepted report clears newer ends under the same keys.
    DropsWhatIsEndedAnew,
    /// A failed write is answered as a success.
    UnshownIsSuccess,
    /// A failed report is answered as a success.
    UnreportedIsSuccess,
    /// A client's restoration is not reported to the feed.
    RestorationIsNotReported,
    /// The switch to `immediate` takes effect before KV shows it.
    SwitchCountsAtOnce,
    /// The switch to `eventual` does not look for ends ahead. This bug was in the code until it was reviewed for the
    /// model.
    SwitchForgetsEndsAhead,
    // Which end wins.
    /// A rotation replaces an end with a later one.
    LaterEndWins,
    /// The feed keeps the later of two ends of a token.
    LaterEndWinsInFeed,
    // The feed.
    /// The feed accepts reports with a lower number than its own.
    FeedTakesLowerNumbers,
    /// The feed ignores a report with the same number: `>=` for `>`.
    FeedIgnoresTheSameNumber,
    /// An entry that changes keeps its `seq`.
    RenewalKeepsItsSeq,
    /// The feed answers before it has stored.
    FeedAnswersBeforeItStores,
    /// An isolate uses its copy, however old it is.
    CopyIsNotRenewed,
    /// An isolate accepts an older answer that arrives late.
    OvertakenAnswerIsTaken,
    // The exchange.
    /// An isolate caches a replica forever.
    KeptForTooLong,
    /// The exchange of an `immediate` client's token reads KV.
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
        Self::ReportedCountsWhatIsNewer,
        Self::DropsWhatIsEndedAnew,
        Self::UnshownIsSuccess,
        Self::UnreportedIsSuccess,
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

    /// The property that the fault breaks, and a bound within which it does so.
    pub const fn breaks(self) -> (&'static str, Scope) {
        match self {
            Self::PublishesBeforeItStores => (sentence::BLAMES, scope::REVOCATIONS),
            Self::AnswersBeforeItStores => (sentence::STORED, scope::RETIREMENT),
            Self::SpendsWhenItAnswers => (sentence::ONE_USE, scope::ONE_USE),
            Self::AnswersBeforePublication => (sentence::SHOWN, scope::REVOCATIONS),
            Self::AnswersBeforeReport => (sentence::IN_FEED, scope::REVOCATIONS),
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
            Self::ReportedCountsWhatIsNewer => (sentence::IN_FEED, scope::RETIREMENT),
            Self::DropsWhatIsEndedAnew => (sentence::BLAMES, scope::SUSPENSION),
            Self::UnshownIsSuccess => (sentence::SHOWN, scope::REVOCATIONS),
            Self::UnreportedIsSuccess => (sentence::IN_FEED, scope::REVOCATIONS),
            Self::RestorationIsNotReported => (sentence::RESTORED, scope::FOLLOWER),
            Self::SwitchCountsAtOnce => (sentence::SHOWN, scope::SWITCH),
            Self::SwitchForgetsEndsAhead => (sentence::DONE, scope::SWITCH_BACK),
            Self::LaterEndWins => (sentence::AT_ONCE, scope::RETIREMENT),
            Self::LaterEndWinsInFeed => (sentence::EARLIEST, scope::RETIREMENT),
            Self::FeedTakesLowerNumbers => (sentence::BLAMES, scope::SUSPENSION),
            Self::FeedIgnoresTheSameNumber => (sentence::HOUR_LONG, scope::SUSPENSION),
            Self::RenewalKeepsItsSeq => (sentence::SAME, scope::FOLLOWER),
            Self::FeedAnswersBeforeItStores => (sentence::IN_FEED, scope::REVOCATIONS),
            Self::CopyIsNotRenewed => (sentence::MISSES, scope::FOLLOWER),
            Self::OvertakenAnswerIsTaken => (sentence::SEQ, scope::OVERTAKING),
            Self::KeptForTooLong => (sentence::LAG, scope::LOCATIONS),
            Self::ImmediateFollowsKv => (sentence::SHOWN, scope::SWITCH),
        }
    }
}
