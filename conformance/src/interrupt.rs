//! Ctrl-C, SIGTERM and SIGHUP: the first ends the cases, the second the clean-up, the third the process.
//!
//! A thread of its own listens for them, from before the first request until the process ends. So no signal is lost, and
//! a signal also ends a process that is blocked while it writes its report.

use crate::exit::Exit;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How long the run may continue after the second signal, before the process ends.
const LAST_WORDS: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub struct Interrupt {
    count: watch::Receiver<u8>,
    over: Arc<AtomicBool>,
}

impl Interrupt {
    /// Does not listen: signals end the process as usual.
    pub fn never() -> Self {
        Self { count: watch::channel(0).1, over: Arc::default() }
    }

    pub fn listen() -> Result<Self, String> {
        let (tell, count) = watch::channel(0);
        let over = Arc::new(AtomicBool::new(false));
        let (ready, started) = std::sync::mpsc::channel();
        let is_over = over.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(hear(&tell, &is_over, &ready)),
                Err(error) => drop(ready.send(Err(error))),
            }
        });
        let failed = |why: &dyn std::fmt::Display| format!("can't listen for signals ({why})");
        started.recv().map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
        Ok(Self { count, over })
    }

    /// The number of signals received.
    pub fn count(&self) -> u8 {
        *self.count.borrow()
    }

    /// Waits until this many signals were received.
    pub async fn reached(&self, wanted: u8) {
        if self.count.clone().wait_for(|count| *count >= wanted).await.is_err() {
            pending().await
        }
    }

    /// The run is over and only its output is left: from now on one signal ends the process.
    pub fn over(&self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

async fn hear(tell: &watch::Sender<u8>, is_over: &AtomicBool, ready: &std::sync::mpsc::Sender<std::io::Result<()>>) {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let _ = ready.send(Ok(()));
    let mut count = 0u8;
    loop {
        let last = count >= 2 || is_over.load(Ordering::SeqCst);
        tokio::select! {
            () = signals.next() => {}
            () = tokio::time::sleep(LAST_WORDS), if count >= 2 => {}
        }
        if last || is_over.load(Ordering::SeqCst) {
            // The run is incomplete, whatever was judged so far.
            std::process::exit(Exit::Incomplete.code().into());
        }
        count += 1;
        tell.send_replace(count);
    }
}

#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            pending().await
        }
    }
}
