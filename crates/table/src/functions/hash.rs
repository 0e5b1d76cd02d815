//! Digests of strings, as hexadecimal digits.

use datafusion_common::{Result, plan_err};
use datafusion_expr::Volatility;
use md5::Md5;
use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::builtin::{Builtin, Takes, pure, text, texts};

fn digest<D: Digest>(of: &str) -> String {
    D::digest(of.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha2(of: &str, bits: i64) -> Option<String> {
    Some(match bits {
        224 => digest::<Sha224>(of),
        256 => digest::<Sha256>(of),
        384 => digest::<Sha384>(of),
        512 => digest::<Sha512>(of),
        _ => return None,
    })
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    pure("MD5", "s", text, |call| texts(call, |row| Some(digest::<Md5>(row.text(0)?)))),
    pure("SHA1", "s", text, |call| texts(call, |row| Some(digest::<Sha1>(row.text(0)?)))),
    pure("SHA224", "s", text, |call| texts(call, |row| Some(digest::<Sha224>(row.text(0)?)))),
    pure("SHA256", "s", text, |call| texts(call, |row| Some(digest::<Sha256>(row.text(0)?)))),
    pure("SHA384", "s", text, |call| texts(call, |row| Some(digest::<Sha384>(row.text(0)?)))),
    pure("SHA512", "s", text, |call| texts(call, |row| Some(digest::<Sha512>(row.text(0)?)))),
    Builtin {
        name: "SHA2",
        takes: Takes::Letters("si"),
        result: |arguments| -> Result<_> {
            use datafusion_common::ScalarValue::Int64;
            match arguments.constants.get(1).copied().flatten() {
                Some(Int64(Some(bits))) if ![224, 256, 384, 512].contains(bits) => {
                    plan_err!("SHA2 has 224, 256, 384 or 512 bits, not {bits}")
                }
                _ => text(arguments),
            }
        },
        run: |call| texts(call, |row| sha2(row.text(0)?, row.int(1)?)),
        volatility: Volatility::Immutable,
    },
];
