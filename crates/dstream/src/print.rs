//! `print`: the first records of each batch, on stdout.

use std::fmt::Debug;

use thalweg_dataflow::state::StateData;
use thalweg_dataflow::time::Timestamp;

use crate::DStream;

impl<T: StateData + Debug> DStream<T> {
    /// Prints the first ten records of each batch on stdout, under a line with the batch's time, as Spark does, and when it is
    /// its turn among the outputs of the batch.
    pub fn print(&self) -> DStream<()> {
        self.print_n(10)
    }

    /// Prints the first `n` records of each batch on stdout, under a line with the batch's time.
    pub fn print_n(&self, n: usize) -> DStream<()> {
        let add = move |mut first: Vec<T>, record| {
            // One more than is printed: it tells that there is more.
            if first.len() <= n {
                first.push(record);
            }
            first
        };
        let merge = move |mut first: Vec<T>, more: Vec<T>| {
            first.extend(more);
            first.truncate(n.saturating_add(1));
            first
        };
        self.context.job().graph().output(|| {
            let first = self.fold("first", &n.to_string(), Vec::new(), add, merge);
            let print = first.foreach_rdd(move |rdd, time| {
                // There is one record for each batch.
                rdd.collect().iter().for_each(|first| print!("{}", page(first, n, time)));
            });
            print.name("print").with_part("fold", &first)
        })
    }
}

fn page(records: &[impl Debug], n: usize, time: Timestamp) -> String {
    let rule = "-".repeat(43);
    let records: String = match records.split_at_checked(n) {
        Some((first, [_, ..])) => {
            first.iter().map(|record| format!("{record:?}\n")).chain(["...\n".to_owned()]).collect()
        }
        _ => records.iter().map(|record| format!("{record:?}\n")).collect(),
    };
    format!("{rule}\nTime: {time} ms\n{rule}\n{records}\n")
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn a_page_has_a_header_and_says_when_there_is_more() {
        let rule = "-------------------------------------------";
        let all = format!("{rule}\nTime: 1000 ms\n{rule}\n(\"deep\", 2)\n\n");
        assert_eq!(page(&[("deep", 2)], 1, 1000), all);
        assert_eq!(page(&[1, 2], 1, -5), format!("{rule}\nTime: -5 ms\n{rule}\n1\n...\n\n"));
        assert_eq!(page(&[] as &[u8], 0, 0), format!("{rule}\nTime: 0 ms\n{rule}\n\n"));
    }
}
