//! Paths into JSON: `[lax | strict] $.name."name"['name'][0][*].*`.

use serde_json::Value;

/// A path.
pub(super) struct JsonPath {
    pub(super) lax: bool,
    steps: Vec<Step>,
}

enum Step {
    Name(String),
    Item(i64),
    All,
}

impl JsonPath {
    /// Reads a path; none, if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (lax, text) = match text.split_once(char::is_whitespace) {
            Some((mode, rest)) if mode.eq_ignore_ascii_case("lax") => (true, rest.trim_start()),
            Some((mode, rest)) if mode.eq_ignore_ascii_case("strict") => (false, rest.trim_start()),
            _ => (false, text),
        };
        let mut rest = text.strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let inside = inside.trim_start();
                let quote = inside.chars().next().filter(|quote| ['\'', '"'].contains(quote));
                let step = match quote {
                    Some(quote) => {
                        let end = inside[1..].find(quote)? + 1;
                        let name = inside[1..end].to_owned();
                        rest = inside[end + 1..].trim_start().strip_prefix(']')?;
                        Step::Name(name)
                    }
                    None => {
                        let (number, behind) = inside.split_once(']')?;
                        rest = behind;
                        match number.trim() {
                            "*" => Step::All,
                            number => Step::Item(number.parse().ok()?),
                        }
                    }
                };
                steps.push(step);
                continue;
            }
            let name = rest.strip_prefix('.')?;
            if name.starts_with('[') {
                rest = name;
                continue;
            }
            let (name, behind) = match name.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => name.split_at(name.find(['.', '[']).unwrap_or(name.len())),
            };
            rest = behind;
            match name.trim() {
                "" => return None,
                "*" => steps.push(Step::All),
                name => steps.push(Step::Name(name.to_owned())),
            }
        }
        Some(Self { lax, steps })
    }

    /// What is at the path; of one with `*` an array of all that is there. `None` if there is nothing.
    pub(super) fn find(&self, json: &Value) -> Option<Value> {
        let many = self.steps.iter().any(|step| matches!(step, Step::All));
        let (mut found, mut one) = (vec![json], true);
        for step in &self.steps {
            let mut next = Vec::new();
            // An array may be too short.
            let short = matches!(step, Step::Item(_)) && found.iter().any(|value| value.is_array());
            one &= !matches!(step, Step::All) && (!many || !short);
            for value in found {
                match (step, value) {
                    (Step::Name(name), Value::Object(fields)) => next.extend(fields.get(name)),
                    (Step::Item(number), Value::Array(items)) => {
                        let place = if *number < 0 { items.len() as i64 + number } else { *number };
                        next.extend(usize::try_from(place).ok().and_then(|place| items.get(place)));
                    }
                    (Step::All, Value::Array(items)) => next.extend(items),
                    (Step::All, Value::Object(fields)) => next.extend(fields.values()),
                    _ => {}
                }
            }
            // Before all of something are asked for, it has to be there.
            if one && next.is_empty() {
                return None;
            }
            found = next;
        }
        match many {
            true => Some(Value::Array(found.into_iter().cloned().collect())),
            false => found.first().map(|value| (*value).clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_followed() {
        let json: Value = serde_json::json!({"a": [{"b": 1}, {"b": 2}], "c d": true});
        let find = |path: &str| JsonPath::parse(path).and_then(|path| path.find(&json));
        assert_eq!(find("$.a[1].b"), Some(2.into()));
        assert_eq!(find("lax $.a[*].b"), Some(serde_json::json!([1, 2])));
        assert_eq!(find("$['c d']"), Some(true.into()));
        assert_eq!(find("$.\"c d\""), Some(true.into()));
        assert_eq!(find("$.x"), None);
        assert_eq!(find("$.x[*]"), None);
        assert_eq!(find("$.a[*].x"), Some(serde_json::json!([])));
        assert!(JsonPath::parse("a.b").is_none());
        assert!(JsonPath::parse("$.a[?(@.b > 1)]").is_none());
    }
}
