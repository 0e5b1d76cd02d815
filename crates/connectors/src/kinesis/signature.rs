//! AWS's signature of a request, version 4, as far as a `POST` of JSON to `/` goes.

use std::fmt::Write;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::contract::Secret;

/// Who signs.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) key: String,
    pub(super) secret: Secret,
    pub(super) token: Option<Secret>,
}

/// What is signed.
pub(super) struct Request<'a> {
    pub(super) host: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) content_type: &'a str,
    pub(super) target: &'a str,
    pub(super) body: &'a [u8],
    /// `20261129T150405Z`.
    pub(super) time: &'a str,
}

impl Credentials {
    /// The header `Authorization`.
    pub(super) fn sign(&self, request: &Request<'_>) -> String {
        let Request { host, region, service, content_type, target, body, time } = request;
        let (token, signed) = match &self.token {
            Some(token) => (
                format!("x-amz-security-token:{}\n", token.expose()),
                "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
            ),
            None => (String::new(), "content-type;host;x-amz-date;x-amz-target"),
        };
        let headers = format!(
            "content-type:{content_type}\nhost:{host}\nx-amz-date:{time}\n{token}x-amz-target:{target}\n"
        );
        let canonical = format!("POST\n/\n\n{headers}\n{signed}\n{}", hex(&Sha256::digest(body)));
        let day = time.get(..8).unwrap_or(time);
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let mut key = format!("AWS4{}", self.secret.expose()).into_bytes();
        for part in [day, region, service, "aws4_request"] {
            key = mac(&key, part.as_bytes());
        }
        let signature = hex(&mac(&key, to_sign.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
            self.key
        )
    }
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Seconds since the epoch, as signatures have them: `20261129T150405Z`.
pub(super) fn time(seconds: u64) -> String {
    let (days, of_day) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Years begin in March here, so that a leap day is the last of one; 719,468 days before the epoch was the first of March of the year 0.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (1_795_964_645, "20261129T150405Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(time(seconds), expected);
        }
    }

    /// The signatures are botocore's, of the same request.
    #[test]
    fn a_request_is_signed_as_others_sign_it() {
        let request = Request {
            host: "127.0.0.1:4568",
            region: "eu-central-1",
            service: "kinesis",
            content_type: "application/x-amz-json-1.1",
            target: "Kinesis_20131202.ListShards",
            body: br#"{"StreamName":"words"}"#,
            time: "20261129T150405Z",
        };
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let mut credentials = Credentials { key: "AKIDEXAMPLE".to_owned(), secret, token: None };
        assert_eq!(credentials.sign(&request), SIGNED);
        credentials.token = Some(Secret::new("a token"));
        assert_eq!(credentials.sign(&request), SIGNED_WITH_TOKEN);
    }

    const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261129/eu-central-1/kinesis/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=a5bf3bf9c7d9590076fa71beaaab801718310742a5acacbe05bb02d35be48df2";
    const SIGNED_WITH_TOKEN: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261129/eu-central-1/kinesis/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=35744a26879de7fa443ed3f6df7b82583bbc8805d30abcd2b85a03298c010df1";
}
