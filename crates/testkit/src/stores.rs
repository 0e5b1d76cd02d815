//! Object stores and HDFS for tests that want one: those that the environment names.

use thalweg_dataflow::operator::RunId;

/// A folder of its own for `test`, in each store that there is. `stores` has the variables that hold their addresses, and whether what it takes
/// is built in; what is missing is said on stderr.
///
/// ```
/// # use thalweg_testkit::stores::folders;
/// assert!(folders("words", &[("THALWEG_A_STORE_THAT_NOBODY_HAS", true)]).is_empty());
/// ```
pub fn folders(test: &str, stores: &[(&str, bool)]) -> Vec<String> {
    let folder = |(variable, built_in): &(&str, bool)| match std::env::var(variable) {
        Ok(base) if *built_in => Some(format!("{base}/{test}-{:x}", RunId::token())),
        _ => {
            eprintln!("SKIPPED: {test} on {variable}, which is not set, or not built in");
            None
        }
    };
    stores.iter().filter_map(folder).collect()
}
