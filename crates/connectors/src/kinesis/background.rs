//! What goes on in the background of a source, on the runtime, and wakes it.

use std::io;

use thalweg_dataflow::source::Waker;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::KinesisError;
use crate::store::runtime;

/// Work that is under way. What has come of it is there before the source is woken, and the source is woken whatever becomes of it. It ends when this is dropped.
pub(super) struct Background<T> {
    task: JoinHandle<()>,
    answers: Receiver<Result<T, KinesisError>>,
}

/// What is there of it.
pub(super) enum Next<T> {
    Nothing,
    Answer(Result<T, KinesisError>),
    /// Nothing more will come.
    End,
}

/// Where the answers of such work go.
pub(super) struct Answers<T> {
    // In this order, so that the last thing that happens is that the source is woken: one that is woken before would sleep again, with nobody to wake it.
    sender: Sender<Result<T, KinesisError>>,
    wakes: Wakes,
}

/// Wakes a source when it goes.
struct Wakes(Waker);

impl Drop for Wakes {
    fn drop(&mut self) {
        self.0.wake();
    }
}

impl<T: Send + 'static> Background<T> {
    /// Begins. One answer waits until it is taken; the next one waits to be given.
    pub(super) fn spawn<F>(waker: &Waker, work: impl FnOnce(Answers<T>) -> F) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, answers) = channel(1);
        let work = work(Answers { sender, wakes: Wakes(waker.clone()) });
        Ok(Self { task: runtime::handle()?.spawn(work), answers })
    }

    pub(super) fn next(&mut self) -> Next<T> {
        match self.answers.try_recv() {
            Ok(answer) => Next::Answer(answer),
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Disconnected) => Next::End,
        }
    }
}

impl<T> Answers<T> {
    /// Gives one, as soon as there is room for it. Returns whether more is wanted.
    pub(super) async fn give(&self, answer: Result<T, KinesisError>) -> bool {
        let is_wanted = self.sender.send(answer).await.is_ok();
        self.wakes.0.wake();
        is_wanted
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
