//! Java's login configuration, of which Kafka takes the users of PLAIN:
//! `org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="secret";`

use std::collections::BTreeMap;

/// One entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The class.
    pub(super) module: String,
    pub(super) options: BTreeMap<String, String>,
}

impl Entry {
    /// Parses the only entry there may be. The error does not quote, for there are passwords in it.
    pub(super) fn parse(given: &str) -> Result<Self, &'static str> {
        let mut words = Words { rest: given };
        let module = words.next()?.ok_or("there is no login module")?;
        match words.next()?.as_deref() {
            Some("required" | "requisite" | "sufficient" | "optional") => {}
            _ => return Err("behind the login module there must be a word such as required"),
        }
        let mut options = BTreeMap::new();
        loop {
            let name = words.next()?.ok_or("it must end with a semicolon")?;
            if name == ";" {
                break;
            }
            if words.next()?.as_deref() != Some("=") {
                return Err("options have the form name=\"value\"");
            }
            match words.next()? {
                Some(value) if value != ";" => options.insert(name, value),
                _ => return Err("an option has no value"),
            };
        }
        match words.next()? {
            Some(_) => Err("there may be one login module only"),
            None => Ok(Self { module, options }),
        }
    }

    /// The users of PLAIN: options by names that begin with `user_`.
    pub(super) fn users(&self) -> BTreeMap<String, String> {
        let user = |(name, password): (&String, &String)| {
            Some((name.strip_prefix("user_")?.to_owned(), password.clone()))
        };
        self.options.iter().filter_map(user).collect()
    }
}

struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    /// A word, a quoted text without its quotes, `=` or `;`.
    fn next(&mut self) -> Result<Option<String>, &'static str> {
        self.rest = self.rest.trim_start();
        let mut letters = self.rest.char_indices();
        let Some((_, first)) = letters.next() else { return Ok(None) };
        if let '=' | ';' = first {
            self.rest = letters.as_str();
            return Ok(Some(first.to_string()));
        }
        if let '"' | '\'' = first {
            let mut text = String::new();
            loop {
                match letters.next() {
                    Some((_, letter)) if letter == first => break,
                    Some((_, '\\')) => text.extend(letters.next().map(|(_, letter)| letter)),
                    Some((_, letter)) => text.push(letter),
                    None => return Err("a quoted value does not end"),
                }
            }
            self.rest = letters.as_str();
            return Ok(Some(text));
        }
        let is_end = |letter: char| letter.is_whitespace() || matches!(letter, '=' | ';' | '"' | '\'');
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(Some(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_options_in_quotes_or_not() {
        let entry = Entry::parse(
            "  org.apache.kafka.common.security.plain.PlainLoginModule required\n username=admin \
             user_alice=\"a;b=\\\"c d\\\"\" user_bob = 'x';",
        )
        .unwrap();
        assert_eq!(entry.module, "org.apache.kafka.common.security.plain.PlainLoginModule");
        let users = [("alice", "a;b=\"c d\""), ("bob", "x")];
        assert_eq!(entry.users(), users.map(|(name, word)| (name.to_owned(), word.to_owned())).into());
        assert_eq!(entry.options["username"], "admin");
        assert_eq!(Entry::parse("M required;").unwrap().options, BTreeMap::new());
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for wrong in [
            "",
            "M",
            "M user_a=b;",
            "M required user_a=b",
            "M required user_a;",
            "M required user_a=;",
            "M required user_a=\"b;",
            "M required; M required;",
        ] {
            assert!(Entry::parse(wrong).is_err(), "{wrong}");
        }
    }
}
