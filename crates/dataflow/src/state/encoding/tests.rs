use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Encoder, PartDecoder, Plan, Schema};

/// A part of these items, and the schema as it is written.
fn write<T: Serialize + DeserializeOwned>(items: &[T]) -> Result<(Vec<u8>, Schema), String> {
    let (mut encoder, mut buffer) = (Encoder::new(), Vec::new());
    encoder.part(&mut buffer, |part| part.items(items)).map_err(|error| error.to_string())?;
    let schema = postcard::to_stdvec(encoder.schema()).unwrap();
    Ok((buffer, postcard::from_bytes(&schema).unwrap()))
}

fn read<T: DeserializeOwned>((bytes, schema): &(Vec<u8>, Schema)) -> Result<Vec<T>, String> {
    let (plan, mut items) = (Plan::new(schema), Vec::new());
    let read = PartDecoder::new(&plan, bytes).items(|item| items.push(item));
    read.map(|()| items).map_err(|error| error.to_string())
}

/// What becomes of values when the type changes.
fn change<W: Serialize + DeserializeOwned, R: DeserializeOwned>(items: &[W]) -> Result<Vec<R>, String> {
    read(&write(items)?)
}

#[track_caller]
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(items: &[T]) {
    assert_eq!(change::<T, T>(items).unwrap(), items);
}

/// Refused when it is written, with these words.
#[track_caller]
fn refused<T: Serialize + DeserializeOwned>(items: &[T], words: &[&str]) {
    let error = write(items).expect_err("it was written");
    words.iter().for_each(|word| assert!(error.contains(word), "`{word}` is not in: {error}"));
}

#[track_caller]
fn unresolved<W: Serialize + DeserializeOwned, R: DeserializeOwned + Debug>(items: &[W], words: &[&str]) {
    let error = change::<W, R>(items).expect_err("it was read");
    words.iter().for_each(|word| assert!(error.contains(word), "`{word}` is not in: {error}"));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Named { name: String, of: Option<Box<Tree>> },
    Many(Vec<Tree>),
    Pair(Box<Tree>, u8),
}

#[test]
fn everything_that_serde_knows_comes_back() {
    comes_back(&[i8::MIN, 0, i8::MAX]);
    comes_back(&[i16::MIN, -1, i16::MAX]);
    comes_back(&[i64::MIN, -64, -65, 63, 64, i64::MAX]);
    comes_back(&[u64::MAX, 127, 128, 0, 1 << 62, (1 << 63) - 1]);
    comes_back(&[i128::MIN, i128::MAX, 0]);
    comes_back(&[u128::MAX, 0, 1 << 127]);
    comes_back(&[f32::MIN_POSITIVE, f32::INFINITY, -0.0]);
    comes_back(&[1.5_f64, f64::MAX]);
    comes_back(&['a', 'λ', '\u{10ffff}', '\0']);
    comes_back(&["".to_owned(), "thalweg".to_owned(), "läng".repeat(100)]);
    comes_back(&[(), ()]);
    comes_back(&[vec![(), ()], vec![]]);
    comes_back(&[Some(Some(1)), Some(None), None]);
    comes_back(&[Some(()), None]);
    comes_back(&[[1_u8, 2], [3, 4]]);
    comes_back(&[((), (1_u8, "x".to_owned()), [[0_u16; 3]; 2])]);
    comes_back(&[HashMap::from([(1, vec!["a".to_owned()]), (2, vec![])]), HashMap::new()]);
    comes_back(&[(0..100).collect::<HashSet<u32>>()]);
    comes_back(&[BTreeMap::from([((1, 'x'), Ok::<u8, String>(1)), ((2, 'y'), Err("no".to_owned()))])]);
    comes_back(&[std::time::Duration::from_millis(1500)]);
    comes_back(&["10.0.0.1".parse::<std::net::IpAddr>().unwrap(), "::1".parse().unwrap()]);
    comes_back(&[Tree::Many(vec![
        Tree::Leaf,
        Tree::Named { name: "n".to_owned(), of: None },
        Tree::Named { name: "m".to_owned(), of: Some(Box::new(Tree::Pair(Box::new(Tree::Leaf), 7))) },
    ])]);
    let json = serde_json::json!({"a": [1, -2, 3.5, null, "x", {"b": {}}], "c": true, "big": u64::MAX});
    comes_back(&[json, serde_json::json!(null), serde_json::json!("text")]);
}

/// A schema does not grow with the depth of values, nor with their number.
#[test]
fn types_that_contain_themselves_have_a_small_schema() {
    let mut tree = Tree::Leaf;
    let mut json = serde_json::json!(1);
    for n in 0..20 {
        tree = Tree::Named { name: n.to_string(), of: Some(Box::new(Tree::Many(vec![tree, Tree::Leaf]))) };
        json = serde_json::json!({"x": [json, null, n]});
    }
    let (bytes, schema) = write(&[tree.clone()]).unwrap();
    assert!(schema.nodes.len() < 20, "{schema:?}");
    assert_eq!(read::<Tree>(&(bytes, schema)).unwrap(), [tree]);
    let (bytes, schema) = write(&[json.clone()]).unwrap();
    assert!(schema.nodes.len() < 20, "{schema:?}");
    assert_eq!(read::<serde_json::Value>(&(bytes, schema)).unwrap(), [json]);
}

mod before {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct User {
        pub(super) name: String,
        pub(super) visits: u32,
        pub(super) gone: Vec<Option<char>>,
        pub(super) at: Place,
        pub(super) kind: Kind,
        pub(super) ratio: f32,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Place {
        pub(super) x: i16,
        pub(super) y: i16,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) enum Kind {
        Guest,
        Member(u8),
        Staff { room: u8, desk: u8 },
    }
}

mod after {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Id(pub(super) String);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct User {
        pub(super) kind: Kind,
        #[serde(default = "answer")]
        pub(super) new: i32,
        pub(super) name: Id,
        pub(super) visits: Option<u64>,
        pub(super) at: Option<Place>,
        pub(super) ratio: f64,
        pub(super) missing: Option<u8>,
    }

    fn answer() -> i32 {
        42
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Place {
        #[serde(alias = "y")]
        pub(super) north: i64,
        pub(super) x: i32,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) enum Kind {
        Robot,
        Staff {
            #[serde(default)]
            floor: u8,
            desk: u16,
        },
        #[serde(rename = "Member")]
        Joined(u32),
        Guest,
    }
}

#[test]
fn a_type_is_resolved_by_name() {
    let user = |kind| before::User {
        name: "ada".to_owned(),
        visits: 7,
        gone: vec![None, Some('x')],
        at: before::Place { x: -1, y: 2 },
        kind,
        ratio: 0.5,
    };
    let now = |kind| after::User {
        kind,
        new: 42,
        name: after::Id("ada".to_owned()),
        visits: Some(7),
        at: Some(after::Place { north: 2, x: -1 }),
        ratio: 0.5,
        missing: None,
    };
    let written = [
        user(before::Kind::Guest),
        user(before::Kind::Member(3)),
        user(before::Kind::Staff { room: 1, desk: 9 }),
    ];
    let expected =
        [now(after::Kind::Guest), now(after::Kind::Joined(3)), now(after::Kind::Staff { floor: 0, desk: 9 })];
    assert_eq!(change::<before::User, after::User>(&written).unwrap(), expected);
    // Both ways through newtypes.
    assert_eq!(change::<_, String>(&[after::Id("x".to_owned())]).unwrap(), ["x"]);
    assert_eq!(change::<_, u64>(&[std::num::Wrapping(5_u32)]).unwrap(), [5]);
}

#[test]
fn what_cannot_be_resolved_is_refused_with_its_path() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Outer<T> {
        list: Vec<Inner<T>>,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Inner<T> {
        field: T,
    }
    fn outer<T>(field: T) -> Outer<T> {
        Outer { list: vec![Inner { field }] }
    }
    unresolved::<_, Outer<u32>>(&[outer(1_u64)], &["`list[0].field`", "u64 was written", "u32 is wanted"]);
    unresolved::<_, Outer<f64>>(&[outer(1_i64)], &["`list[0].field`", "i64", "f64"]);
    unresolved::<_, Outer<i64>>(&[outer("x".to_owned())], &["`list[0].field`", "string", "i64"]);
    unresolved::<_, Outer<(u8, u8)>>(&[outer((1_u8, 2_u8, 3_u8))], &["(u8,u8,u8)", "a tuple of 2"]);
    unresolved::<_, Outer<u8>>(&[outer(None::<u8>)], &["`list[0].field`", "None", "u8 is wanted"]);
    unresolved::<_, Outer<Tree>>(
        &[outer(Ok::<u8, u8>(1))],
        &["`list[0].field`", "unknown variant `Ok`", "`Leaf`"],
    );
    #[derive(Debug, Serialize, Deserialize)]
    struct Other {
        list: Vec<u8>,
        more: u8,
    }
    unresolved::<_, Other>(&[outer(1_u8)], &["`list[0]`", "Inner{field:u8}"]);
    let list: Vec<Inner<u8>> = Vec::new();
    unresolved::<_, Other>(&[Outer { list }], &["missing field `more`"]);
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Foreign {
        nothing: u8,
    }
    unresolved::<_, Foreign>(&[Inner { field: 1 }], &["Inner{field:i32}", "Foreign", "no field in common"]);
}

#[test]
fn an_enum_with_a_skipped_variant_comes_back_as_it_was() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Skips {
        A,
        #[serde(skip)]
        #[allow(dead_code)]
        Hidden,
        B(u8),
        C,
    }
    comes_back(&[Skips::A, Skips::B(2), Skips::C]);
}

#[test]
fn fields_that_are_left_out_come_back() {
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Sparse {
        #[serde(skip_serializing_if = "Option::is_none")]
        a: Option<u8>,
        b: u16,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        c: Vec<Sparse>,
        #[serde(skip)]
        never: u8,
    }
    let inner = || vec![Sparse { a: Some(1), ..Sparse::default() }, Sparse::default()];
    comes_back(&[Sparse { b: 1, ..Sparse::default() }, Sparse { a: Some(3), b: 2, c: inner(), never: 0 }]);
    comes_back(&[Sparse { a: Some(3), b: 2, c: inner(), never: 0 }, Sparse { b: 1, ..Sparse::default() }]);
    #[derive(Debug, Serialize, Deserialize)]
    struct Forgets {
        #[serde(skip_serializing_if = "String::is_empty")]
        text: String,
    }
    refused(
        &[Forgets { text: String::new() }],
        &["Forgets", "missing field `text`", "skip_serializing_if", "default"],
    );
}

#[test]
fn tagged_untagged_and_flattened_types_come_back_or_are_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Internal {
        Unit,
        A { x: u32, y: String },
        B { y: u8, x: Option<bool> },
        Of(Inside),
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Inside {
        x: Vec<i64>,
        tree: BTreeMap<String, u8>,
    }
    let of = || Inside { x: vec![1, -2], tree: BTreeMap::from([("k".to_owned(), 1)]) };
    comes_back(&[
        Internal::A { x: 70_000, y: "x".to_owned() },
        Internal::Unit,
        Internal::B { y: 1, x: None },
        Internal::B { y: 1, x: Some(true) },
        Internal::Of(of()),
    ]);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "t", content = "c")]
    enum Adjacent {
        Unit,
        Pair(u8, String),
        Of(Inside),
        Wide { n: i128 },
    }
    comes_back(&[
        Adjacent::Unit,
        Adjacent::Pair(1, "p".to_owned()),
        Adjacent::Of(of()),
        Adjacent::Wide { n: i128::MIN },
    ]);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u64),
        Text(String),
        Struct { a: u8 },
        List(Vec<Untagged>),
        Nothing,
    }
    comes_back(&[
        Untagged::Number(1),
        Untagged::Text("t".to_owned()),
        Untagged::Struct { a: 1 },
        Untagged::List(vec![Untagged::Nothing, Untagged::Number(7)]),
    ]);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        a: u8,
        #[serde(flatten)]
        inside: Inside,
        #[serde(flatten)]
        rest: BTreeMap<String, Untagged>,
    }
    comes_back(&[Flat { a: 1, inside: of(), rest: BTreeMap::from([("z".to_owned(), Untagged::Number(5))]) }]);

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Wide {
        A { n: u128 },
    }
    refused(&[Wide::A { n: 1 << 100 }], &["Wide", "tag", "128"]);
    #[derive(Debug, Serialize, Deserialize)]
    struct FlatWide {
        #[serde(flatten)]
        wide: HasWide,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct HasWide {
        n: i128,
    }
    refused(&[FlatWide { wide: HasWide { n: i128::MIN } }], &["FlatWide", "flatten", "128"]);
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Ambiguous {
        Small(u8),
        Large(u64),
    }
    refused(&[Ambiguous::Small(1), Ambiguous::Large(5)], &["Ambiguous", "another value", "untagged"]);
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Address {
        Ip { of: std::net::IpAddr },
    }
    refused(&[Address::Ip { of: [10, 0, 0, 1].into() }], &["Address", "tag"]);
}

#[test]
fn types_whose_two_sides_disagree_are_refused() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Renamed {
        #[serde(rename(serialize = "b"))]
        a: u8,
    }
    refused(&[Renamed { a: 1 }], &["Renamed", "missing field `a`"]);
    #[derive(Debug, Serialize, Deserialize)]
    struct Loses {
        #[serde(skip_deserializing)]
        a: u8,
    }
    refused(&[Loses { a: 1 }], &["Loses", "another value", "skip_deserializing"]);
    fn double<S: serde::Serializer>(n: &u8, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(n * 2)
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Doubles {
        #[serde(serialize_with = "double")]
        a: u8,
    }
    refused(&[Doubles { a: 3 }], &["Doubles", "another value", "serialize_with"]);
}

#[test]
fn values_nested_too_deep_are_refused() {
    #[derive(Debug, Serialize, Deserialize)]
    struct List(Option<Box<List>>);
    let list = |depth: usize| (0..depth).fold(List(None), |list, _| List(Some(Box::new(list))));
    write(&[list(120)]).unwrap();
    refused(&[list(200)], &["nested deeper"]);
}

#[test]
fn parts_of_several_versions_share_a_schema() {
    let mut encoder = Encoder::new();
    let values = [
        vec![serde_json::json!(1)],
        vec![serde_json::json!(2), serde_json::json!("x")],
        vec![serde_json::json!([null, 3])],
        vec![serde_json::json!({"a": 4}), serde_json::json!(5)],
    ];
    let parts: Vec<_> = values
        .iter()
        .map(|items| {
            let mut buffer = b"before".to_vec();
            encoder.part(&mut buffer, |part| part.items(items)).unwrap();
            assert!(buffer.starts_with(b"before"));
            buffer.split_off(6)
        })
        .collect();
    for (bytes, items) in parts.into_iter().zip(&values) {
        assert_eq!(read::<serde_json::Value>(&(bytes, encoder.schema().clone())).unwrap(), *items);
    }
}

#[test]
fn lists_of_bytes_are_lists_like_any_other() {
    let bytes: [Vec<u8>; 4] = [vec![], vec![7], (0..=255).collect(), vec![128; 1000]];
    comes_back(&bytes);
    let wide: Vec<Vec<u32>> = change(&bytes).unwrap();
    assert!(
        wide.iter().zip(&bytes).all(|(wide, bytes)| wide.iter().eq(bytes
            .iter()
            .map(|b| u32::from(*b))
            .collect::<Vec<_>>()
            .iter()))
    );
    let options: Vec<Vec<Option<u8>>> = change(&bytes).unwrap();
    assert_eq!(options[1], [Some(7)]);
    let newtypes: Vec<Vec<std::num::Wrapping<u8>>> = change(&bytes).unwrap();
    assert_eq!(newtypes[3].len(), 1000);
    let ignored: Vec<Vec<serde::de::IgnoredAny>> = change(&bytes).unwrap();
    assert_eq!(ignored[2].len(), 256);
    // What follows is where it was.
    let with_more = [(vec![1_u8, 2], "deep".to_owned()), (vec![], "line".to_owned())];
    assert_eq!(change::<_, (Vec<i16>, String)>(&with_more).unwrap()[0], (vec![1, 2], "deep".to_owned()));
    assert_eq!(change::<_, ([u8; 2], String)>(&with_more[..1]).unwrap()[0].0, [1, 2]);
    // Not every u8 is one.
    unresolved::<Vec<u8>, Vec<i8>>(&bytes[..2], &["u8 was written", "i8 is wanted", "[0]"]);
    unresolved::<Vec<u8>, Vec<String>>(&bytes[..2], &["u8 was written"]);
    unresolved::<Vec<u8>, [u8; 2]>(&bytes[..2], &["a list of"]);
}

#[test]
fn entries_of_bytes_are_written_and_read_as_the_items_of_a_list_would_be() {
    type Entries<V> = Vec<(u32, V)>;
    fn part<V: Serialize + DeserializeOwned + 'static>(
        encoder: &mut Encoder,
        entries: &Entries<V>,
    ) -> Vec<u8> {
        let mut buffer = Vec::new();
        let each = || entries.iter().map(|(key, value)| (key, value));
        encoder.part(&mut buffer, |part| part.entries(entries.len(), each)).unwrap();
        buffer
    }
    fn read<V: DeserializeOwned + 'static>(schema: &Schema, bytes: &[u8]) -> Result<Entries<V>, String> {
        let (plan, mut entries) = (Plan::new(schema), Vec::new());
        let entry = |key, value, _| {
            entries.push((key, value));
            Ok(())
        };
        let read = PartDecoder::new(&plan, bytes).counted_entries(entry);
        read.map(|()| entries).map_err(|error| error.to_string())
    }
    let entries: Entries<Vec<u8>> =
        vec![(1, vec![]), (2, vec![7]), (3, (0..=255).collect()), (4, vec![0; 300])];
    let mut encoder = Encoder::new();
    let first = part(&mut encoder, &entries);
    // From now on they are not read back, and not taken byte by byte.
    encoder.end_snapshot();
    let then = part(&mut encoder, &entries);
    assert_eq!(first, then);
    let schema = encoder.schema().clone();
    for bytes in [&first, &then] {
        assert_eq!(read::<Vec<u8>>(&schema, bytes).unwrap(), entries);
        let wide: Entries<Vec<u32>> = read(&schema, bytes).unwrap();
        assert_eq!(wide[2].1.len(), 256);
    }
    // What was written as something else is read as that.
    let mut other = Encoder::new();
    let lists: Entries<(u8, u8)> = vec![(1, (2, 3))];
    let bytes = part(&mut other, &lists);
    assert_eq!(read::<Vec<u8>>(other.schema(), &bytes).unwrap(), [(1, vec![2, 3])]);
    // Damaged, they are refused.
    for length in 1..then.len() {
        let error = read::<Vec<u8>>(&schema, &then[..length]).unwrap_err();
        assert!(error.contains("damaged"), "{error}");
    }
}
