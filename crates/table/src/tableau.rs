//! Text in boxes, as the shell of Flink draws tables.

/// Rows in a table with a head; numbers and names stand to the right.
///
/// ```
/// use thalweg_table::tableau::tableau;
///
/// let drawn = tableau(&["word", "n"], &[vec!["to".into(), "2".into()], vec!["be".into(), "12".into()]]);
/// assert_eq!(drawn, "+------+----+\n| word |  n |\n+------+----+\n|   to |  2 |\n|   be | 12 |\n+------+----+");
/// ```
pub fn tableau(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let rule: String =
        widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect::<String>() + "+";
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("| {cell:>width$} "));
        cells.collect::<String>() + "|"
    };
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    let mut lines = vec![rule.clone(), line(&head), rule.clone()];
    lines.extend(rows.iter().map(|row| line(row)));
    if !rows.is_empty() {
        lines.push(rule);
    }
    lines.join("\n")
}
