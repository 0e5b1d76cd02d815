//! What the benchmarks have in common: CPU time, memory, and a file of words.

#![allow(dead_code, unreachable_pub)]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

/// The CPU time of all threads of this process so far, at the kernel's 10 ms.
pub fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("the benchmarks need Linux's /proc");
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The peak resident memory of this process, in bytes.
pub fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The resident memory of this process now, in bytes.
pub fn resident_memory() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// A small random number generator with a seed, so that every machine counts the same words.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A vocabulary of 50,000 words, and a rank for each draw that follows Zipf's law, as words of a language do.
pub fn vocabulary(random: &mut Random) -> Vec<String> {
    let word = |random: &mut Random| -> String {
        let length = 2 + random.next() % 9;
        (0..length).map(|_| char::from(b'a' + (random.next() % 26) as u8)).collect()
    };
    (0..50_000).map(|_| word(random)).collect()
}

pub fn zipf(random: &mut Random, n: usize) -> usize {
    ((n as f64).powf(random.unit()) - 1.0) as usize % n
}

/// A file of so many words, ten a line; made once.
pub fn words_file(words: u64) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let path = folder.join(format!("words-{words}.txt"));
    if path.exists() {
        return path;
    }
    eprintln!("writing {words} words to {}", path.display());
    let mut random = Random::new(7);
    let vocabulary = vocabulary(&mut random);
    let unfinished = path.with_extension("unfinished");
    let mut file = BufWriter::new(File::create(&unfinished).expect("a file can be made"));
    for i in 0..words {
        let word = &vocabulary[zipf(&mut random, vocabulary.len())];
        file.write_all(word.as_bytes()).expect("there is room");
        let last = i % 10 == 9 || i + 1 == words;
        file.write_all(if last { b"\n" } else { b" " }).expect("there is room");
    }
    file.flush().expect("there is room");
    fs::rename(&unfinished, &path).expect("a file can be renamed");
    path
}
