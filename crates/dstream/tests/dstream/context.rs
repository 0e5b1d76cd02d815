//! The life of a job: it is stopped, gracefully or at once, and goes on where its checkpoint is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use thalweg_dstream::{JobError, StreamingContext};
use thalweg_testkit::{CollectSink, Collected};

const INTERVAL: Duration = Duration::from_millis(5);

type Totals = Collected<(String, u64)>;

/// Counts the words of the files in a folder, for ever.
fn create(root: &Path, totals: &Totals) -> Result<StreamingContext, JobError> {
    let ssc = StreamingContext::new("totals", INTERVAL);
    ssc.configure(|config| config.parallelism = 2);
    let words = ssc.file_stream(root.join("in"), false).map(|word| (word, 1_u64));
    let counts = words
        .update_state_by_key(|_, new, total: Option<u64>| Some(total.unwrap_or(0) + new.iter().sum::<u64>()));
    let _ = counts.sink_to(CollectSink::new(totals.clone()));
    Ok(ssc)
}

/// The context of the job with its checkpoints in `root`, started.
fn started(root: &Path, totals: &Totals) -> StreamingContext {
    let ssc = StreamingContext::get_or_create(root.join("checkpoints"), || create(root, totals)).unwrap();
    ssc.start().unwrap();
    ssc
}

/// Puts a file with each word so often into the folder that is read, whole.
fn put(root: &Path, name: &str, words: &[(&str, usize)]) {
    let (hidden, visible) = (root.join(name), root.join("in").join(name));
    let lines: String = words.iter().map(|(word, n)| format!("{word}\n").repeat(*n)).collect();
    fs::write(&hidden, lines).unwrap();
    fs::rename(hidden, visible).unwrap();
}

/// Waits until the totals are these. None may ever be greater.
fn wait_for(totals: &Totals, expected: &[(&str, u64)]) {
    let until = Instant::now() + Duration::from_secs(30);
    let expected: BTreeMap<String, u64> = expected.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    while last != expected {
        assert!(Instant::now() < until, "{last:?} instead of {expected:?}");
        for (word, n) in totals.take() {
            assert!(n <= expected[&word], "{word}: {n}, above {}", expected[&word]);
            let before = last.insert(word, n);
            assert!(before.is_none_or(|before| before <= n), "totals rise");
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_job_goes_on_after_it_was_stopped_or_cancelled() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("in")).unwrap();
    let totals = Totals::default();

    put(root.path(), "1", &[("deep", 300), ("fast", 200)]);
    let ssc = started(root.path(), &totals);
    wait_for(&totals, &[("deep", 300), ("fast", 200)]);
    ssc.stop(true);
    ssc.await_termination().unwrap();

    put(root.path(), "2", &[("deep", 50)]);
    let ssc = started(root.path(), &totals);
    wait_for(&totals, &[("deep", 350), ("fast", 200)]);
    // What is under way when the job is cancelled is done again.
    put(root.path(), "3", &[("wide", 5000), ("deep", 7)]);
    ssc.stop(false);
    assert!(matches!(ssc.await_termination(), Err(JobError::Cancelled)));

    let ssc = started(root.path(), &totals);
    wait_for(&totals, &[("deep", 357), ("fast", 200), ("wide", 5000)]);
    ssc.stop(true);
    ssc.await_termination().unwrap();
}

#[test]
fn a_graceful_stop_processes_what_was_read_and_closes_the_batch() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("in")).unwrap();
    let totals = Collected::<u64>::default();
    // A batch that nobody would wait for.
    let ssc = StreamingContext::new("long-batch", Duration::from_secs(3600));
    let (sender, read) = std::sync::mpsc::channel();
    let words = ssc.text_file_stream(root.path().join("in"));
    put(root.path(), "1", &[("deep", 40)]);
    let counted = words.map(move |_| sender.send(())).map(|_| ()).count();
    let _ = counted.sink_to(CollectSink::new(totals.clone()));
    ssc.start().unwrap();
    (0..40).for_each(|_| read.recv_timeout(Duration::from_secs(30)).unwrap());
    assert!(!ssc.await_termination_or_timeout(Duration::ZERO));
    ssc.stop(true);
    assert!(ssc.await_termination_or_timeout(Duration::from_secs(30)));
    ssc.await_termination().unwrap();
    assert_eq!(totals.take(), [40]);
}

#[test]
fn a_job_can_be_stopped_while_somebody_waits_for_it() {
    let root = tempfile::tempdir().unwrap();
    let ssc = StreamingContext::new("waiting", INTERVAL);
    ssc.text_file_stream(root.path()).print();
    ssc.start().unwrap();
    std::thread::scope(|scope| {
        let waiting = [(); 2].map(|()| scope.spawn(|| ssc.await_termination()));
        // One of the two has nothing to wait for, which says that the other one is waiting.
        while !waiting.iter().any(|thread| thread.is_finished()) {
            std::thread::yield_now();
        }
        assert!(!ssc.await_termination_or_timeout(Duration::from_millis(1)));
        ssc.stop(true);
        assert!(ssc.await_termination_or_timeout(Duration::from_secs(30)));
        let ended = waiting.map(|thread| thread.join().unwrap().is_ok());
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
    });
}
