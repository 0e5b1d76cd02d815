//! Parts of URLs.

use super::builtin::{Builtin, pure, text, texts};

/// The parts of `scheme://user:password@host:port/path?query#fragment`.
struct Parts<'a> {
    scheme: &'a str,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once(':')?;
        // What Java knows as a URL has one of the protocols that it can open.
        if !["http", "https", "ftp", "file", "jar", "mailto"].contains(&scheme.to_ascii_lowercase().as_str())
        {
            return None;
        }
        let (rest, fragment) = rest.split_once('#').map_or((rest, None), |(rest, part)| (rest, Some(part)));
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, part)| (rest, Some(part)));
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => match rest.find('/') {
                Some(at) => (Some(&rest[..at]), &rest[at..]),
                None => (Some(rest), ""),
            },
            None => (None, rest),
        };
        Some(Self { scheme, authority, path, query, fragment })
    }

    fn user(&self) -> Option<&'a str> {
        self.authority?.rsplit_once('@').map(|(user, _)| user)
    }

    fn host(&self) -> Option<&'a str> {
        let authority = self.authority?;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        Some(host.rsplit_once(':').map_or(host, |(host, _)| host))
    }
}

fn part(url: &str, name: &str, key: Option<&str>) -> Option<String> {
    let parts = Parts::of(url)?;
    if let Some(key) = key {
        if name != "QUERY" {
            return None;
        }
        let pairs = parts.query?.split('&').filter_map(|pair| pair.split_once('='));
        return pairs.filter(|(known, _)| *known == key).map(|(_, value)| value.to_owned()).next();
    }
    Some(match name {
        "HOST" => parts.host()?.to_owned(),
        "PATH" => parts.path.to_owned(),
        "QUERY" => parts.query?.to_owned(),
        "REF" => parts.fragment?.to_owned(),
        "PROTOCOL" => parts.scheme.to_owned(),
        "FILE" => match parts.query {
            Some(query) => format!("{}?{query}", parts.path),
            None => parts.path.to_owned(),
        },
        "AUTHORITY" => parts.authority?.to_owned(),
        "USERINFO" => parts.user()?.to_owned(),
        _ => return None,
    })
}

/// As forms are sent: a space is `+`, and what is no letter, digit or one of `.-*_` is `%` and two digits.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            byte if byte.is_ascii_alphanumeric() || b".-*_".contains(&byte) => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn decode(text: &str) -> Option<String> {
    let (mut out, mut bytes) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        });
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    pure("PARSE_URL", "ss?s", text, |call| {
        texts(call, |row| {
            let key = if row.len() > 2 { Some(row.text(2)?) } else { None };
            part(row.text(0)?, row.text(1)?, key)
        })
    }),
    pure("URL_ENCODE", "s", text, |call| texts(call, |row| Some(encode(row.text(0)?)))),
    pure("URL_DECODE", "s", text, |call| texts(call, |row| decode(row.text(0)?))),
    pure("URL_DECODE_RECURSIVE", "s?i", text, |call| {
        texts(call, |row| {
            let most = if row.len() > 1 { row.int(1)? } else { 5 };
            let mut text = row.text(0)?.to_owned();
            for _ in 0..most {
                let next = decode(&text)?;
                if next == text {
                    break;
                }
                text = next;
            }
            Some(text)
        })
    }),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_parts() {
        let url = "http://user:pw@host.com:80/p/a?k=v&b=2#frag";
        let parts = ["HOST", "PATH", "FILE", "USERINFO", "REF"].map(|name| part(url, name, None));
        let wanted =
            ["host.com", "/p/a", "/p/a?k=v&b=2", "user:pw", "frag"].map(|part| Some(part.to_owned()));
        assert_eq!(parts, wanted);
        assert_eq!(part(url, "QUERY", Some("b")).as_deref(), Some("2"));
        assert_eq!(decode(&encode("a b&c=ü")).as_deref(), Some("a b&c=ü"));
        assert_eq!(decode("%zz"), None);
    }
}
