//! `print`: the first records of each batch, on stdout.

use std::fmt::Debug;

use thalweg_dataflow::printed::printed;
use thalweg_dataflow::record::Data;
use thalweg_dataflow::time::Timestamp;

use crate::DStream;

impl<T: Data + Debug> DStream<T> {
    /// Prints the first ten records of each batch on stdout, under a line with the batch's time, as Spark does, and when it is
    /// its turn among the outputs of the batch. A record is written as `Debug` does, but text without quotes: see [`printed`].
    pub fn print(&self) -> DStream<()> {
        self.print_n(10)
    }

    /// Prints the first `n` records of each batch on stdout, under a line with the batch's time.
    pub fn print_n(&self, n: usize) -> DStream<()> {
        // Lines are kept, not records, so that a record need not be one that can be kept in state.
        let add = move |mut first: Vec<String>, record: T| {
            // One more than is printed: it tells that there is more.
            if first.len() <= n {
                first.push(printed(&record));
            }
            first
        };
        let merge = move |mut first: Vec<String>, more: Vec<String>| {
            first.extend(more);
            first.truncate(n.saturating_add(1));
            first
        };
        self.context.job().graph().output(|| {
            let first = self.fold("first", &n.to_string(), Vec::new(), add, merge);
            let print = first.foreach_rdd_as("print", move |rdd, time| {
                // There is one record for each batch.
                rdd.collect().iter().for_each(|first| print!("{}", page(first, n, time)));
            });
            print.name("print").with_part("fold", &first)
        })
    }
}

fn page(lines: &[String], n: usize, time: Timestamp) -> String {
    let rule = "-".repeat(43);
    let (first, more) = match lines.split_at_checked(n) {
        Some((first, [_, ..])) => (first, "...\n"),
        _ => (lines, ""),
    };
    let first: String = first.iter().flat_map(|line| [line, "\n"]).collect();
    format!("{rule}\nTime: {time} ms\n{rule}\n{first}{more}\n")
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn a_page_has_a_header_and_says_when_there_is_more() {
        let rule = "-------------------------------------------";
        let all = format!("{rule}\nTime: 1000 ms\n{rule}\n(deep, 2)\n\n");
        assert_eq!(page(&["(deep, 2)".to_owned()], 1, 1000), all);
        let two = ["1".to_owned(), "2".to_owned()];
        assert_eq!(page(&two, 1, -5), format!("{rule}\nTime: -5 ms\n{rule}\n1\n...\n\n"));
        assert_eq!(page(&[], 0, 0), format!("{rule}\nTime: 0 ms\n{rule}\n\n"));
    }
}
