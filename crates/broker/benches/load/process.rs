//! Processes seen from outside, where there is a `/proc`: their CPU time and memory.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use thalweg_broker::{Broker, BrokerConfig, Storage};

const SERVE: &str = "--serve";

/// CPU seconds of all threads of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl Cpu {
    /// What it has used so far.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may hold anything, the 12th and 13th field are ticks of a hundredth of a second.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / 100.0);
        Some(Self { user: seconds()?, system: seconds()? })
    }

    /// What it has used since.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { user: self.user - before.user, system: self.system - before.system }
    }

    pub(crate) fn all(self) -> f64 {
        self.user + self.system
    }
}

/// CPU seconds that all threads of a process have used so far.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    Cpu::of(pid).map(Cpu::all)
}

/// Megabytes of memory that a process has at the moment.
pub(crate) fn resident_megabytes(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

/// The embedded broker in a process of its own: this benchmark, run again.
pub(crate) struct BrokerProcess {
    child: Child,
    address: String,
    /// It stops when this is closed.
    _stdin: Option<ChildStdin>,
}

impl BrokerProcess {
    pub(crate) fn start(data: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(SERVE)
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { _stdin: child.stdin.take(), child, address: address.trim().to_owned() }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the broker, if this process was started to be one.
pub(crate) fn serve_if_asked() -> bool {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|arg| arg != SERVE) {
        return false;
    }
    let storage = Storage::Directory(args.next().unwrap().into());
    let broker = Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    println!("{}", broker.bootstrap());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    drop(broker);
    true
}
