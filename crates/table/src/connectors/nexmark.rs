//! `nexmark`: the events of an auction house, made up: people, auctions and bids, as in the benchmark of that name.
//!
//! The columns are `event_type INT` (0, 1, 2) and the rows `person`, `auction` and `bid`, one of which is there. An event follows from its
//! number alone, so two runs give the same rows, at any parallelism. Its proportions, ids and distributions are the benchmark's.
//!
//! | option | unless it is set |
//! |---|---|
//! | `events.num` | 0: it never ends |
//! | `first-event.rate` | 10000 events for each second of event time |
//! | `next-event.rate` | the same: rates do not change on the way |
//! | `max-emit-speed` | `true`; with `false` no event comes before its time |
//! | `person.proportion`, `auction.proportion`, `bid.proportion` | 1, 3, 46 |
//! | `person.avg-size`, `auction.avg-size`, `bid.avg-size` | 200, 500, 100 bytes |
//! | `bid.hot-ratio.auctions`, `bid.hot-ratio.bidders`, `auction.hot-ratio.sellers` | 2, 4, 4 |
//! | `base-time` | 1436918400000: the time of the first event, in milliseconds |

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, SchemaRef, TimeUnit};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::{Connector, Shape, TableScan};
use crate::catalog::Table;
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::settings::Settings;

/// So many events are made at once, at most.
const CHUNK: u64 = 1024;

/// Events are dealt out over so many splits, whatever the parallelism.
const SPLITS: u64 = 8;

const FIRST_ID: i64 = 1000;
const FIRST_CATEGORY: i64 = 10;
const CATEGORIES: u64 = 5;
/// Ids that are not there yet are named as well, so far ahead.
const LEAD: i64 = 10;
/// Of so many ids one is hot.
const HOT: i64 = 100;
const ACTIVE_PEOPLE: i64 = 1000;
const IN_FLIGHT_AUCTIONS: i64 = 100;
const CHANNELS: u64 = 10_000;

const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const FIRST_NAMES: [&str; 11] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] =
    ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

pub(super) struct Nexmark;

/// What is asked for.
#[derive(Clone, Debug)]
struct Config {
    events: Option<u64>,
    rate: u64,
    limited: bool,
    base_time: i64,
    /// Of people, auctions, bids.
    proportions: [i64; 3],
    sizes: [usize; 3],
    hot_auctions: u64,
    hot_bidders: u64,
    hot_sellers: u64,
}

const OPTIONS: [&str; 18] = [
    "events.num",
    "first-event.rate",
    "next-event.rate",
    "max-emit-speed",
    "rate.limited",
    "rate.shape",
    "rate.period",
    "person.proportion",
    "auction.proportion",
    "bid.proportion",
    "person.avg-size",
    "auction.avg-size",
    "bid.avg-size",
    "bid.hot-ratio.auctions",
    "bid.hot-ratio.bidders",
    "auction.hot-ratio.sellers",
    "base-time",
    "scan.watermark.idle-timeout",
];

impl Config {
    fn of(table: &Table) -> Result<Self, SqlError> {
        super::only(table, &OPTIONS, &[])?;
        let number = |key: &str, otherwise: u64| match table.option(key) {
            None => Ok(otherwise),
            Some(text) => {
                let digits = text.trim().trim_end_matches(|letter: char| letter.is_alphabetic()).trim();
                digits.parse::<u64>().map_err(|_| SqlError::new(format!("`{key}` is a number, not `{text}`")))
            }
        };
        let flag = |key: &str| table.option(key).map(|value| value.eq_ignore_ascii_case("true"));
        let rate = number("first-event.rate", 10_000)?.max(1);
        if number("next-event.rate", rate)? != rate {
            return Err(SqlError::new(
                "`next-event.rate` is `first-event.rate`: rates do not change on the way",
            ));
        }
        let proportions = [
            number("person.proportion", 1)? as i64,
            number("auction.proportion", 3)? as i64,
            number("bid.proportion", 46)? as i64,
        ];
        if proportions[0] == 0 || proportions[1] == 0 {
            return Err(SqlError::new(
                "there are some people and some auctions at least: their proportion is not 0",
            ));
        }
        Ok(Self {
            events: Some(number("events.num", 0)?).filter(|events| *events > 0),
            rate,
            limited: flag("rate.limited") == Some(true) || flag("max-emit-speed") == Some(false),
            base_time: number("base-time", 1_436_918_400_000)? as i64,
            proportions,
            sizes: [
                number("person.avg-size", 200)? as usize,
                number("auction.avg-size", 500)? as usize,
                number("bid.avg-size", 100)? as usize,
            ],
            hot_auctions: number("bid.hot-ratio.auctions", 2)?.max(1),
            hot_bidders: number("bid.hot-ratio.bidders", 4)?.max(1),
            hot_sellers: number("auction.hot-ratio.sellers", 4)?.max(1),
        })
    }

    fn total(&self) -> i64 {
        self.proportions.iter().sum()
    }

    /// The time of an event.
    fn time(&self, event: u64) -> i64 {
        self.base_time + (event as i128 * 1000 / i128::from(self.rate)) as i64
    }

    /// 0, 1 or 2: a person, an auction or a bid.
    fn kind(&self, event: u64) -> usize {
        let offset = event as i64 % self.total();
        let [people, auctions, _] = self.proportions;
        usize::from(offset >= people) + usize::from(offset >= people + auctions)
    }

    /// The number of the last person that there is at an event.
    fn last_person(&self, event: u64) -> i64 {
        let (round, offset) = (event as i64 / self.total(), event as i64 % self.total());
        round * self.proportions[0] + offset.min(self.proportions[0] - 1)
    }

    /// The number of the last auction that there is at an event.
    fn last_auction(&self, event: u64) -> i64 {
        let [people, auctions, _] = self.proportions;
        let (round, offset) = (event as i64 / self.total(), event as i64 % self.total());
        match offset - people {
            before if before < 0 => round * auctions - 1,
            within => round * auctions + within.min(auctions - 1),
        }
    }

    /// One of the people of late, or of those that are to come.
    fn some_person(&self, event: u64, random: &mut Random) -> i64 {
        let people = self.last_person(event) + 1;
        let active = people.min(ACTIVE_PEOPLE);
        people - active + random.below((active + LEAD) as u64) as i64
    }

    /// One of the auctions that are under way, or to come.
    fn some_auction(&self, event: u64, random: &mut Random) -> i64 {
        let last = self.last_auction(event);
        let first = (last - IN_FLIGHT_AUCTIONS).max(0);
        first + random.below((last - first + 1 + LEAD).max(1) as u64) as i64
    }
}

/// Random numbers that follow from the number of an event.
struct Random(u64);

impl Random {
    fn of(event: u64) -> Self {
        Self(event.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of the numbers below `limit`, which is not 0.
    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }

    /// From a dollar up to a million, in cents; small ones as often as large ones.
    fn price(&mut self) -> i64 {
        let share = self.next() as f64 / u64::MAX as f64;
        (10_f64.powf(share * 6.0) * 100.0).round() as i64
    }

    /// Letters, three at least and fewer than `limit`, now and then another sign between them.
    fn text(&mut self, limit: u64, sign: char) -> String {
        let length = 3 + self.below(limit - 3);
        let letter = |random: &mut Self| match random.below(13) {
            0 => sign,
            _ => (b'a' + random.below(26) as u8) as char,
        };
        (0..length).map(|_| letter(self)).collect::<String>().trim().to_owned()
    }

    /// Letters, so that with `size` bytes they are about `wanted`.
    fn extra(&mut self, size: usize, wanted: usize) -> String {
        let Some(rest) = wanted.checked_sub(size).filter(|rest| *rest > 0) else { return String::new() };
        let spread = (rest as f64 * 0.2).round() as usize;
        let length = rest - spread + if spread == 0 { 0 } else { self.below(2 * spread as u64) as usize };
        let mut text = String::with_capacity(length + 12);
        while text.len() < length {
            let mut letters = self.next();
            for _ in 0..12 {
                text.push((b'a' + (letters % 26) as u8) as char);
                letters /= 26;
            }
        }
        text.truncate(length);
        text
    }

    fn url(&mut self) -> String {
        let part = |random: &mut Self| random.text(5, '_');
        let [a, b, c] = [part(self), part(self), part(self)];
        format!("https://www.nexmark.com/{a}/{b}/{c}/item.htm?query=1")
    }
}

#[derive(Default)]
struct Person {
    id: i64,
    texts: [String; 5],
    time: i64,
    extra: String,
}

#[derive(Default)]
struct Auction {
    id: i64,
    name: String,
    description: String,
    initial_bid: i64,
    reserve: i64,
    time: i64,
    expires: i64,
    seller: i64,
    category: i64,
    extra: String,
}

#[derive(Default)]
struct Bid {
    auction: i64,
    bidder: i64,
    price: i64,
    channel: String,
    url: String,
    time: i64,
    extra: String,
}

impl Config {
    fn person(&self, event: u64) -> Person {
        let mut random = Random::of(event);
        let name = format!("{} {}", random.one_of(&FIRST_NAMES), random.one_of(&LAST_NAMES));
        let email = format!("{}@{}.com", random.text(7, ' '), random.text(5, ' '));
        let mut four = || format!("{:04}", random.below(10_000));
        let card = [four(), four(), four(), four()].join(" ");
        let (city, state) = (random.one_of(&CITIES).to_owned(), random.one_of(&STATES).to_owned());
        let texts = [name, email, card, city, state];
        let size = 8 + texts.iter().map(String::len).sum::<usize>();
        let extra = random.extra(size, self.sizes[0]);
        Person { id: self.last_person(event) + FIRST_ID, texts, time: self.time(event), extra }
    }

    fn auction(&self, event: u64) -> Auction {
        let mut random = Random::of(event);
        let time = self.time(event);
        let initial_bid = random.price();
        let seller = match random.below(self.hot_sellers) > 0 {
            true => self.last_person(event) / HOT * HOT,
            false => self.some_person(event, &mut random),
        };
        let category = FIRST_CATEGORY + random.below(CATEGORIES) as i64;
        // It is open for as long as it takes until so many others have begun, on average.
        let ahead = (IN_FLIGHT_AUCTIONS * self.total() / self.proportions[1]) as u64;
        let horizon = self.time(event + ahead) - time;
        let expires = time + 1 + random.below((horizon * 2).max(1) as u64) as i64;
        let (name, description) = (random.text(20, ' '), random.text(100, ' '));
        let reserve = initial_bid + random.price();
        let extra = random.extra(48 + name.len() + description.len(), self.sizes[1]);
        Auction {
            id: self.last_auction(event) + FIRST_ID,
            name,
            description,
            initial_bid,
            reserve,
            time,
            expires,
            seller: seller + FIRST_ID,
            category,
            extra,
        }
    }

    fn bid(&self, event: u64) -> Bid {
        let mut random = Random::of(event);
        let auction = match random.below(self.hot_auctions) > 0 {
            true => self.last_auction(event).max(0) / HOT * HOT,
            false => self.some_auction(event, &mut random),
        };
        let bidder = match random.below(self.hot_bidders) > 0 {
            // The second one, so that hot bidders are no hot sellers.
            true => self.last_person(event) / HOT * HOT + 1,
            false => self.some_person(event, &mut random),
        };
        let price = random.price();
        let (channel, url) = match random.below(2) > 0 {
            true => {
                let hot = random.below(4);
                (HOT_CHANNELS[hot as usize].to_owned(), Random::of(u64::MAX - hot).url())
            }
            false => {
                let number = random.below(CHANNELS);
                // A channel has one address.
                let mut own = Random::of(u64::MAX - 4 - number);
                let mut url = own.url();
                if own.below(10) > 0 {
                    let id = i64::from((number as u32).reverse_bits() as i32).abs();
                    url.push_str(&format!("&channel_id={id}"));
                }
                (format!("channel-{number}"), url)
            }
        };
        let extra = random.extra(32, self.sizes[2]);
        let (auction, bidder) = (auction + FIRST_ID, bidder + FIRST_ID);
        Bid { auction, bidder, price, channel, url, time: self.time(event), extra }
    }
}

/// What an event is, one of three.
fn columns(config: &Config, events: &[u64]) -> Result<Vec<ArrayRef>, BoxError> {
    let kinds: Vec<usize> = events.iter().map(|event| config.kind(*event)).collect();
    fn made<T: Default>(kinds: &[usize], kind: usize, events: &[u64], of: impl Fn(u64) -> T) -> Vec<T> {
        let one = |(own, event): (&usize, &u64)| if *own == kind { of(*event) } else { T::default() };
        kinds.iter().zip(events).map(one).collect()
    }
    fn longs<T>(all: &[T], of: impl Fn(&T) -> i64) -> ArrayRef {
        Arc::new(all.iter().map(of).collect::<Int64Array>())
    }
    fn texts<'a, T>(all: &'a [T], of: impl Fn(&'a T) -> &'a str) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(all.iter().map(of)))
    }
    let times = |millis: ArrayRef| cast(&millis, &DataType::Timestamp(TimeUnit::Millisecond, None));
    let row = |kind: usize, names: &[&str], columns: Vec<ArrayRef>| {
        let field = |(name, column): (&&str, &ArrayRef)| Field::new(*name, column.data_type().clone(), true);
        let fields: Fields = names.iter().zip(&columns).map(field).collect();
        let there = NullBuffer::from(kinds.iter().map(|own| *own == kind).collect::<Vec<bool>>());
        StructArray::try_new(fields, columns, Some(there)).map(|row| Arc::new(row) as ArrayRef)
    };
    let people = made(&kinds, 0, events, |event| config.person(event));
    let person = row(
        0,
        &["id", "name", "emailAddress", "creditCard", "city", "state", "dateTime", "extra"],
        vec![
            longs(&people, |of| of.id),
            texts(&people, |of| &of.texts[0]),
            texts(&people, |of| &of.texts[1]),
            texts(&people, |of| &of.texts[2]),
            texts(&people, |of| &of.texts[3]),
            texts(&people, |of| &of.texts[4]),
            times(longs(&people, |of| of.time))?,
            texts(&people, |of| &of.extra),
        ],
    )?;
    let auctions = made(&kinds, 1, events, |event| config.auction(event));
    let auction = row(
        1,
        &[
            "id",
            "itemName",
            "description",
            "initialBid",
            "reserve",
            "dateTime",
            "expires",
            "seller",
            "category",
            "extra",
        ],
        vec![
            longs(&auctions, |of| of.id),
            texts(&auctions, |of| &of.name),
            texts(&auctions, |of| &of.description),
            longs(&auctions, |of| of.initial_bid),
            longs(&auctions, |of| of.reserve),
            times(longs(&auctions, |of| of.time))?,
            times(longs(&auctions, |of| of.expires))?,
            longs(&auctions, |of| of.seller),
            longs(&auctions, |of| of.category),
            texts(&auctions, |of| &of.extra),
        ],
    )?;
    let bids = made(&kinds, 2, events, |event| config.bid(event));
    let bid = row(
        2,
        &["auction", "bidder", "price", "channel", "url", "dateTime", "extra"],
        vec![
            longs(&bids, |of| of.auction),
            longs(&bids, |of| of.bidder),
            longs(&bids, |of| of.price),
            texts(&bids, |of| &of.channel),
            texts(&bids, |of| &of.url),
            times(longs(&bids, |of| of.time))?,
            texts(&bids, |of| &of.extra),
        ],
    )?;
    let kinds: Int32Array = kinds.iter().map(|kind| Some(*kind as i32)).collect();
    Ok(vec![Arc::new(kinds), person, auction, bid])
}

#[derive(Clone)]
struct Generator {
    config: Arc<Config>,
    schema: SchemaRef,
    identity: String,
}

impl Connector for Nexmark {
    fn source(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        let config = Config::of(table)?;
        let schema = table.schema_of(&table.read_columns());
        let made = columns(&config, &[0]).map_err(|error| SqlError::new(error.to_string()))?;
        let names = ["event_type", "person", "auction", "bid"];
        let own: Vec<(&str, &DataType)> =
            schema.fields().iter().map(|field| (field.name().as_str(), field.data_type())).collect();
        let fits = own.len() == 4
            && own.iter().zip(names).zip(&made).all(|(((own, of), name), made)| {
                *own == name && arrow::compute::can_cast_types(made.data_type(), of)
            });
        if !fits {
            return Err(SqlError::new(
                "the columns of a `nexmark` table are event_type INT, and the rows person, auction and bid of the benchmark",
            ));
        }
        let identity = table.path.to_string();
        Ok(Box::new(Generator { config: Arc::new(config), schema, identity }))
    }
}

impl TableScan for Generator {
    fn scan(&self, graph: &StreamGraph, name: &str, shape: Shape) -> Result<Stream<Chunk>, SqlError> {
        Ok(shape.source(graph, name, self.clone()))
    }
}

impl Source for Generator {
    type Item = Chunk;
    type Reader = Reader;

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn reader(&self, context: &SourceContext) -> Result<Reader, BoxError> {
        let mine = (0..SPLITS).filter(|split| context.owns(*split as usize)).map(|split| (split, 0, None));
        let (generator, mine) = (self.clone(), mine.collect());
        Ok(Reader { generator, mine, context: context.clone(), begun: None })
    }
}

/// Makes the events of some splits: of split s the events s, s + 8, s + 16, ….
struct Reader {
    generator: Generator,
    /// The number of each split, how many of its events have been made, and how it is announced.
    mine: Vec<(u64, u64, Option<SplitId>)>,
    context: SourceContext,
    /// When it began, and the time of the event at which it did.
    begun: Option<(i64, i64)>,
}

impl SourceReader for Reader {
    type Item = Chunk;
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        for (split, position) in restored.unwrap_or_default() {
            if let Some(mine) = self.mine.iter_mut().find(|(number, ..)| number.to_string() == split) {
                mine.1 = position;
            }
        }
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<Chunk>) -> Result<SourceStatus, BoxError> {
        for (number, _, id) in &mut self.mine {
            id.get_or_insert_with(|| output.add_split(&number.to_string()));
        }
        let config = Arc::clone(&self.generator.config);
        // The one that lags behind, so that their times stay together.
        let left = |(number, next, _): &(u64, u64, Option<SplitId>)| {
            let all = config.events.map_or(u64::MAX, |all| all.saturating_sub(*number).div_ceil(SPLITS));
            all.saturating_sub(*next)
        };
        for split in self.mine.iter().filter(|split| left(split) == 0) {
            split.2.into_iter().for_each(|id| output.finish_split(id));
        }
        let open = self.mine.iter_mut().filter(|split| left(split) > 0);
        let Some(split) = open.min_by_key(|(_, next, _)| *next) else { return Ok(SourceStatus::End) };
        let mut count = CHUNK.min(left(split));
        let (number, next, Some(id)) = split else { return Ok(SourceStatus::Ready) };
        if config.limited {
            let (now, first) = (self.context.clock.now(), config.time(*next * SPLITS + *number));
            let (begun, time) = *self.begun.get_or_insert((now, first));
            let due = |count: u64| config.time((*next + count) * SPLITS + *number) - time <= now - begun;
            count = (0..count).take_while(|count| due(*count)).count() as u64;
            if count == 0 {
                return Ok(SourceStatus::Idle { until: Some(now + 10) });
            }
        }
        let events: Vec<u64> = (*next..*next + count).map(|event| event * SPLITS + *number).collect();
        let made = columns(&config, &events)?;
        let fitting = made.iter().zip(self.generator.schema.fields());
        let fitting = fitting.map(|(column, field)| cast(column, field.data_type()));
        let rows =
            RecordBatch::try_new(self.generator.schema.clone(), fitting.collect::<Result<Vec<_>, _>>()?)?;
        output.push(Chunk::additions(rows), NO_TIMESTAMP);
        output.origin(*id, *next, *next + count - 1);
        *next += count;
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        self.mine.iter().map(|(number, next, _)| (number.to_string(), *next)).collect()
    }
}
