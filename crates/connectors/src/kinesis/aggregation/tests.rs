use proptest::prelude::*;

use super::*;

const ALL: RangeInclusive<u128> = 0..=u128::MAX;

/// A record that is to be aggregated: its key, its explicit hash key, its data.
type Record = (String, Option<u128>, Vec<u8>);

fn number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn field(field: u64, bytes: &[u8], out: &mut Vec<u8>) {
    number(field << 3 | 2, out);
    number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Puts records together, with a field here and there that is not known.
fn message(records: &[Record], unknown: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, hash_key, _) in records {
        field(1, key.as_bytes(), &mut out);
        if let Some(hash_key) = hash_key {
            field(2, hash_key.to_string().as_bytes(), &mut out);
        }
    }
    let mut hash_keys = 0;
    for (at, (_, hash_key, data)) in records.iter().enumerate() {
        let mut part = Vec::new();
        number(1 << 3, &mut part);
        number(at as u64, &mut part);
        if hash_key.is_some() {
            number(2 << 3, &mut part);
            number(hash_keys, &mut part);
            hash_keys += 1;
        }
        field(3, data, &mut part);
        if unknown {
            field(4, b"\x0a\x03tag", &mut part);
            part.extend_from_slice(&[(9 << 3) | 5, 1, 2, 3, 4]);
        }
        field(3, &part, &mut out);
    }
    if unknown {
        out.extend_from_slice(&[(7 << 3) | 1, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
    out
}

/// As it is sent.
fn sent(message: &[u8]) -> Vec<u8> {
    [&MAGIC, message, Md5::digest(message).as_slice()].concat()
}

fn records_of(data: &[u8], shard: &RangeInclusive<u128>) -> Option<Vec<Record>> {
    let Found::Aggregated(aggregated) = find(data, shard) else { return None };
    let record = |at| {
        let (key, hash_key, data) = aggregated.get(data, at).unwrap();
        (key.to_owned(), hash_key.map(|key| key.parse().unwrap()), data.to_owned())
    };
    Some((0..aggregated.len()).map(record).collect())
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let record =
        (".{0,20}", proptest::option::of(any::<u128>()), proptest::collection::vec(any::<u8>(), 0..200));
    proptest::collection::vec(record, 1..20)
}

proptest! {
    #[test]
    fn what_was_put_together_comes_apart(records in records(), unknown: bool) {
        prop_assert_eq!(records_of(&sent(&message(&records, unknown)), &ALL), Some(records));
    }

    #[test]
    fn a_byte_that_is_wrong_makes_it_a_record_as_it_is(records in records(), at: prop::sample::Index, flip in 1..=255_u8) {
        let mut data = sent(&message(&records, false));
        let at = at.index(data.len());
        data[at] ^= flip;
        prop_assert_eq!(find(&data, &ALL), Found::Plain);
    }

    #[test]
    fn what_is_cut_short_is_a_record_as_it_is(records in records(), at: prop::sample::Index) {
        let data = sent(&message(&records, false));
        prop_assert_eq!(find(&data[..at.index(data.len())], &ALL), Found::Plain);
    }

    /// With the right sum, so that the message is read.
    #[test]
    fn whatever_the_message_is_it_is_read_to_its_end_or_not_at_all(records in records(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut: prop::sample::Index) {
        let mut message = message(&records, true);
        for (at, byte) in flips {
            let at = at.index(message.len());
            message[at] = byte;
        }
        message.truncate(cut.index(message.len()) + 1);
        let data = sent(&message);
        if let Found::Aggregated(aggregated) = find(&data, &ALL) {
            let bytes = (0..aggregated.len()).map(|at| aggregated.get(&data, at).unwrap().2.len()).sum::<usize>();
            prop_assert!(bytes <= message.len());
        }
    }

    #[test]
    fn whatever_the_bytes_are(message in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = find(&sent(&message), &ALL);
        let _ = find(&message, &ALL);
    }

    #[test]
    fn with_one_record_of_another_shard_all_are_dropped(mut records in records(), at: prop::sample::Index, cut: u128) {
        let at = at.index(records.len());
        let cut = cut.min(u128::MAX - 1);
        for record in &mut records {
            record.1 = Some(record.1.unwrap_or(0).min(cut));
        }
        prop_assert!(records_of(&sent(&message(&records, false)), &(0..=cut)).is_some());
        records[at].1 = Some(cut + 1);
        prop_assert_eq!(find(&sent(&message(&records, false)), &(0..=cut)), Found::Foreign);
        prop_assert_eq!(records_of(&sent(&message(&records, false)), &ALL), Some(records));
    }
}

#[test]
fn the_hash_of_a_key_counts_if_there_is_no_explicit_one() {
    let whole = sent(&message(&[("user-1".to_owned(), None, b"x".to_vec())], false));
    let own = hash_key("user-1");
    assert!(matches!(find(&whole, &(own..=own)), Found::Aggregated(_)));
    assert_eq!(find(&whole, &(own + 1..=u128::MAX)), Found::Foreign);
    assert_eq!(find(&whole, &(0..=own - 1)), Found::Foreign);
    // What a MD5 is, as everybody knows it.
    assert_eq!(format!("{:x}", hash_key("")), "d41d8cd98f00b204e9800998ecf8427e");
}

#[test]
fn what_names_a_key_that_is_not_there_is_a_record_as_it_is() {
    let part = |fields: &[u8]| {
        let mut out = Vec::new();
        field(1, b"key", &mut out);
        field(2, b"1234", &mut out);
        field(3, fields, &mut out);
        sent(&out)
    };
    assert_eq!(
        records_of(&part(&[8, 0, 16, 0, 26, 1, 7]), &ALL),
        Some(vec![("key".to_owned(), Some(1234), vec![7])])
    );
    for wrong in [
        // The second of one key, of one hash key.
        &[8, 1, 26, 1, 7][..],
        &[8, 1, 16, 0, 26, 1, 7],
        &[8, 0, 16, 1, 26, 1, 7],
        // No key, no data, data that are longer than the record.
        &[26, 1, 7],
        &[8, 0],
        &[8, 0, 26, 2, 7],
        // A number without an end, a field without a number, a group.
        &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        &[0, 0, 8, 0, 26, 1, 7],
        &[8, 0, 26, 1, 7, 0x23, 0x24],
    ] {
        assert_eq!(find(&part(wrong), &ALL), Found::Plain, "{wrong:?}");
    }
    // A hash key that is no number, a key that is longer than there are, one that is no text.
    let with = |number, of: &[u8]| {
        let mut out = message(&[("key".to_owned(), None, vec![7])], false);
        field(number, of, &mut out);
        sent(&out)
    };
    assert_eq!(find(&with(2, b"-1"), &ALL), Found::Plain);
    assert_eq!(find(&with(1, "ä".repeat(257).as_bytes()), &ALL), Found::Plain);
    assert_eq!(find(&with(1, b"\xff"), &ALL), Found::Plain);
    assert!(records_of(&with(1, "ä".repeat(256).as_bytes()), &ALL).is_some());
    // Nothing in it.
    assert_eq!(find(&sent(b""), &ALL), Found::Plain);
    assert_eq!(find(&MAGIC, &ALL), Found::Plain);
}

/// What another implementation has put together: `tests/fixtures/kinesis/make.py`.
#[test]
fn what_another_implementation_has_put_together_comes_apart() {
    let whole = include_bytes!("../../../tests/fixtures/kinesis/aggregated");
    let expected: Vec<Record> = (0..40_u32)
        .map(|n| {
            let hash_key = n.is_multiple_of(5).then(|| u128::from(n) << 100);
            (format!("user-{}", n % 7), hash_key, format!("record {n}").into_bytes())
        })
        .collect();
    assert_eq!(records_of(whole, &ALL), Some(expected));
}
