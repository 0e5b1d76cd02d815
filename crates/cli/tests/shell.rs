//! The shell, as somebody sees it who sits before it.

#![cfg(all(feature = "sql", target_os = "linux"))]
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use common::{text, thalweg};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A shell on a terminal of its own.
struct Session {
    child: Child,
    terminal: File,
    output: Receiver<Vec<u8>>,
    shown: String,
    _folder: tempfile::TempDir,
}

impl Session {
    fn start() -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let end = || File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut command = thalweg(&["sql", "--data", folder.path().to_str().unwrap(), "--parallelism", "1"]);
        command
            .env("TERM", "xterm")
            .stdin(Stdio::from(end()))
            .stdout(Stdio::from(end()))
            .stderr(Stdio::from(end()));
        let child = command.spawn().unwrap();
        let (terminal, (sender, output)) = (File::from(terminal), channel());
        let mut reader = terminal.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It fails when the last who writes to it has gone.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, terminal, output, shown: String::new(), _folder: folder }
    }

    /// Waits until `what` is shown, behind what was waited for before.
    fn sees(&mut self, what: &str) {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.shown.find(what) {
                self.shown.drain(..at + what.len());
                return;
            }
            let more = self.output.recv_timeout(Duration::from_millis(100));
            self.shown.push_str(&String::from_utf8_lossy(&more.unwrap_or_default()));
            assert!(begun.elapsed() < Duration::from_secs(60), "no `{what}` in {:?}", self.shown);
        }
    }

    fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    fn interrupt(&self) {
        common::interrupt(&self.child);
    }

    fn ends(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn statements_go_over_lines_queries_stop_and_the_shell_goes_on() {
    let mut shell = Session::start();
    shell.sees("thalweg> ");
    shell.types("SELECT 6 * 7\rAS answer,\r'x;y' AS y;\r");
    shell.sees("| answer |");
    shell.sees("|     42 | x;y |");
    shell.sees("1 row");
    shell.sees("thalweg> ");
    shell.types("SELECT nothing;\r");
    shell.sees("nothing");
    shell.sees("thalweg> ");
    // A table that goes on for ever; its query is stopped, and the shell is not.
    shell.types("CREATE TABLE made (n INT) WITH ('connector' = 'datagen', 'rows-per-second' = '20');\r");
    shell.sees("succeeded");
    shell.types("SET 'sql-client.execution.result-mode' = 'changelog'; SELECT 'row' AS r FROM made;\r");
    shell.sees("+I[row]");
    shell.interrupt();
    shell.sees("thalweg> ");
    // The beginning of a name, and what it goes on to be.
    shell.types("CREATE TABLE nowhere (n INT) WITH ('connector' = 'blackhole');\r");
    shell.sees("succeeded");
    shell.sees("thalweg> ");
    shell.types("INSERT INTO nowh\t SELECT n FROM made;\r");
    shell.sees("runs in the background");
    shell.types("SHOW JOBS;\r");
    shell.sees("RUNNING");
    shell.types("STOP JOB 'job-1';\r");
    shell.sees("The job `job-1` has stopped.");
    shell.types("SHOW JOBS;\r");
    shell.sees("STOPPED");
    shell.sees("thalweg> ");
    shell.types("QUIT;\r");
    shell.ends();
}

#[test]
fn what_is_piped_in_is_run_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.sql");
    let topic = "CREATE TABLE t (n INT) WITH ('connector' = 'kafka', 'topic' = 't', 'format' = 'json',
        'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset');
        SET 'table.dml-sync' = 'true'; INSERT INTO t VALUES (7), (8); SELECT * FROM t;
        SET 'sql-client.execution.result-mode' = 'table'; SELECT SUM(n) AS total FROM t;";
    std::fs::write(&script, topic).unwrap();
    let data = folder.path().join("data");
    let args =
        ["sql", "--data", data.to_str().unwrap(), "-f", script.to_str().unwrap(), "--parallelism", "1"];
    let output = thalweg(&args).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    assert!(
        shown.contains("| +I |           7 |") && shown.contains("Received a total of 2 rows"),
        "{shown}"
    );
    assert!(shown.contains("|    15 |") && shown.contains("1 row"), "{shown}");
    let output =
        thalweg(&["sql", "--data", data.to_str().unwrap(), "--set", "sql-client.execution.result-mode=x"]);
    let mut child = { output }.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT 1;").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        !output.status.success() && text(&output.stderr).contains("is table, changelog or tableau, not `x`")
    );
}
