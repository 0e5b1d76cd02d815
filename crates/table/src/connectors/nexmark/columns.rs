//! Events as columns; of what nobody reads there is NULL.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringBuilder, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, TimeUnit, TimestampMillisecondType};
use thalweg_dataflow::error::BoxError;

use super::Config;
use super::events::{Place, channels};
use crate::needs::{Need, nothing};

/// The rows of one kind among those of all events, as columns: of the others there is 0, or nothing.
struct Of<'a, T> {
    kind: usize,
    places: &'a [Place],
    rows: Vec<T>,
    need: &'a Need,
    fields: Vec<Field>,
    columns: Vec<ArrayRef>,
}

impl<'a, T> Of<'a, T> {
    fn new(kind: usize, places: &'a [Place], need: &'a Need, of: impl Fn(&Place) -> T) -> Self {
        let rows = match need.is_no() {
            true => Vec::new(),
            false => places.iter().filter(|place| place.kind == kind).map(of).collect(),
        };
        Self { kind, places, rows, need, fields: Vec::new(), columns: Vec::new() }
    }

    fn column(mut self, name: &str, data_type: DataType, of: impl FnOnce(&Self) -> ArrayRef) -> Self {
        let column = match self.need.field(name).is_no() {
            true => nothing(&data_type, self.places.len()),
            false => of(&self),
        };
        self.fields.push(Field::new(name, data_type, true));
        self.columns.push(column);
        self
    }

    fn numbers(&self, of: impl Fn(&T) -> i64) -> Int64Array {
        let mut rows = self.rows.iter();
        let values = self.places.iter().map(|place| match place.kind == self.kind {
            true => rows.next().map_or(0, &of),
            false => 0,
        });
        Int64Array::from_iter_values(values)
    }

    fn long(self, name: &str, of: impl Fn(&T) -> i64) -> Self {
        self.column(name, DataType::Int64, |own| Arc::new(own.numbers(of)))
    }

    fn time(self, name: &str, of: impl Fn(&T) -> i64) -> Self {
        let data_type = DataType::Timestamp(TimeUnit::Millisecond, None);
        self.column(name, data_type, |own| {
            Arc::new(own.numbers(of).reinterpret_cast::<TimestampMillisecondType>())
        })
    }

    /// `of` hands over the text in pieces.
    fn pieces(self, name: &str, of: impl Fn(&T, &mut dyn FnMut(&str))) -> Self {
        self.column(name, DataType::Utf8, |own| {
            let (mut texts, mut rows) = (StringBuilder::with_capacity(own.places.len(), 0), own.rows.iter());
            for place in own.places {
                if let Some(row) = (place.kind == own.kind).then(|| rows.next()).flatten() {
                    // To a builder nothing fails to be written.
                    of(row, &mut |piece| {
                        let _ = texts.write_str(piece);
                    });
                }
                texts.append_value("");
            }
            Arc::new(texts.finish())
        })
    }

    fn text(self, name: &str, of: impl Fn(&T) -> &str) -> Self {
        self.pieces(name, |row, each| each(of(row)))
    }

    fn row(self) -> Result<ArrayRef, BoxError> {
        let there: NullBuffer = self.places.iter().map(|place| place.kind == self.kind).collect();
        Ok(Arc::new(StructArray::try_new(self.fields.into(), self.columns, Some(there))?))
    }
}

/// What an event is, one of three; of each what is needed.
pub(super) fn columns(config: &Config, events: &[u64], needs: &[Need]) -> Result<Vec<ArrayRef>, BoxError> {
    let places: Vec<Place> = events.iter().map(|event| config.place(*event)).collect();
    let need = |place: usize| needs.get(place).unwrap_or(&Need::All);
    let texts = ["name", "emailAddress", "creditCard", "city", "state", "extra"];
    let with_texts = texts.iter().any(|name| !need(1).field(name).is_no());
    let person = Of::new(0, &places, need(1), |place| config.person(place, with_texts))
        .long("id", |of| of.id)
        .text("name", |of| &of.texts[0])
        .text("emailAddress", |of| &of.texts[1])
        .text("creditCard", |of| &of.texts[2])
        .text("city", |of| &of.texts[3])
        .text("state", |of| &of.texts[4])
        .time("dateTime", |of| of.time)
        .text("extra", |of| &of.extra)
        .row()?;
    let with_extra = !need(2).field("extra").is_no();
    let auction = Of::new(1, &places, need(2), |place| config.auction(place, with_extra))
        .long("id", |of| of.id)
        .text("itemName", |of| of.name)
        .text("description", |of| of.description)
        .long("initialBid", |of| of.initial_bid)
        .long("reserve", |of| of.reserve)
        .time("dateTime", |of| of.time)
        .time("expires", |of| of.expires)
        .long("seller", |of| of.seller)
        .long("category", |of| of.category)
        .text("extra", |of| &of.extra)
        .row()?;
    let bid = Of::new(2, &places, need(3), |place| config.bid(place))
        .long("auction", |of| of.auction)
        .long("bidder", |of| of.bidder)
        .long("price", |of| of.price.clone().price())
        .text("channel", |of| &channels()[of.channel].0)
        .text("url", |of| &channels()[of.channel].1)
        .time("dateTime", |of| of.time)
        .pieces("extra", |of, each| {
            let mut random = of.rest.clone();
            let length = random.missing(32, config.sizes[2]);
            random.letters(length, each);
        })
        .row()?;
    let kinds = Int32Array::from_iter_values(places.iter().map(|place| place.kind as i32));
    Ok(vec![Arc::new(kinds), person, auction, bid])
}
