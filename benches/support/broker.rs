//! A broker for the benchmarks that want one.

#![allow(unreachable_pub)]

/// The embedded broker, in a process of its own: this program, started once more.
pub struct BrokerProcess {
    child: std::process::Child,
    pub bootstrap: String,
}

impl BrokerProcess {
    const ROLE: &str = "THALWEG_BENCH_BROKER";

    pub fn start() -> Self {
        use std::io::{BufRead, BufReader, Read};
        use std::process::{Command, Stdio};
        if std::env::var(Self::ROLE).is_ok() {
            let broker =
                thalweg_broker::Broker::start(thalweg_broker::BrokerConfig::default()).expect("a broker");
            println!("{}", broker.bootstrap());
            // Until whoever started us is gone.
            std::io::stdin().read_to_end(&mut Vec::new()).ok();
            std::process::exit(0);
        }
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .env(Self::ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started");
        let mut bootstrap = String::new();
        let stdout = child.stdout.take().expect("it was asked for");
        BufReader::new(stdout).read_line(&mut bootstrap).expect("the broker says where it is");
        Self { child, bootstrap: bootstrap.trim().to_owned() }
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}
