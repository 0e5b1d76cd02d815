//! Waiting for the disk without holding up what else a thread serves.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does what may take long. On a thread that serves clients, another one serves them meanwhile.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}
