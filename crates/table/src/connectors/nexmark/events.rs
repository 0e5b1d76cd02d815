//! What an event is, by its number alone.

use std::sync::LazyLock;

use super::Config;

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

impl Config {
    pub(super) fn total(&self) -> i64 {
        self.proportions.iter().sum()
    }

    /// The time of an event.
    pub(super) fn time(&self, event: u64) -> i64 {
        let since = match event.checked_mul(1000) {
            Some(thousands) => thousands / self.rate,
            None => (u128::from(event) * 1000 / u128::from(self.rate)) as u64,
        };
        self.base_time + since as i64
    }

    /// Where an event stands among all.
    pub(super) fn place(&self, event: u64) -> Place {
        let total = self.total();
        let (round, offset) = (event as i64 / total, event as i64 % total);
        let [people, auctions, _] = self.proportions;
        let kind = usize::from(offset >= people) + usize::from(offset >= people + auctions);
        let last_person = round * people + offset.min(people - 1);
        let last_auction = match offset - people {
            before if before < 0 => round * auctions - 1,
            within => round * auctions + within.min(auctions - 1),
        };
        Place { event, kind, time: self.time(event), last_person, last_auction }
    }
}

/// Where an event stands among all.
#[derive(Clone, Copy)]
pub(super) struct Place {
    event: u64,
    /// 0, 1 or 2: a person, an auction or a bid.
    pub(super) kind: usize,
    time: i64,
    /// The numbers of the last person and of the last auction that there are at it.
    last_person: i64,
    last_auction: i64,
}

impl Place {
    /// One of the people of late, or of those that are to come.
    fn some_person(&self, random: &mut Random) -> i64 {
        let people = self.last_person + 1;
        let active = people.min(ACTIVE_PEOPLE);
        people - active + random.below((active + LEAD) as u64) as i64
    }

    /// One of the auctions that are under way, or to come.
    fn some_auction(&self, random: &mut Random) -> i64 {
        let last = self.last_auction;
        let first = (last - IN_FLIGHT_AUCTIONS).max(0);
        first + random.below((last - first + 1 + LEAD).max(1) as u64) as i64
    }
}

/// Random numbers that follow from the number of an event.
#[derive(Clone)]
pub(super) struct Random(u64);

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
    pub(super) fn price(&mut self) -> i64 {
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

    /// Words, so many letters at least and fewer than `limit`.
    fn words(&mut self, limit: u64) -> &'static str {
        static WORDS: LazyLock<String> = LazyLock::new(|| pool(Some(' ')));
        let length = 3 + self.below(limit - 3) as usize;
        let at = self.below(POOL as u64) as usize;
        WORDS[at..at + length].trim()
    }

    /// How many letters it takes so that with `size` bytes they are about `wanted`.
    pub(super) fn missing(&mut self, size: usize, wanted: usize) -> usize {
        let Some(rest) = wanted.checked_sub(size).filter(|rest| *rest > 0) else { return 0 };
        let spread = (rest as f64 * 0.2).round() as usize;
        rest - spread + if spread == 0 { 0 } else { self.below(2 * spread as u64) as usize }
    }

    /// So many letters.
    pub(super) fn letters(&mut self, mut length: usize, mut each: impl FnMut(&str)) {
        static LETTERS: LazyLock<String> = LazyLock::new(|| pool(None));
        while length > 0 {
            let (at, part) = (self.below(POOL as u64) as usize, length.min(MOST));
            each(&LETTERS[at..at + part]);
            length -= part;
        }
    }

    fn url(&mut self) -> String {
        let part = |random: &mut Self| random.text(5, '_');
        let [a, b, c] = [part(self), part(self), part(self)];
        format!("https://www.nexmark.com/{a}/{b}/{c}/item.htm?query=1")
    }
}

/// Texts are cut out of so many random letters, and have so many in one piece.
const POOL: usize = 1 << 16;
const MOST: usize = 1 << 10;

/// Random letters, with another sign between them every thirteen or so.
fn pool(sign: Option<char>) -> String {
    let mut random = Random::of(u64::MAX / 2);
    let letter = |_| match sign {
        Some(sign) if random.below(13) == 0 => sign,
        _ => (b'a' + random.below(26) as u8) as char,
    };
    (0..POOL + MOST).map(letter).collect()
}

/// The names and addresses of the channels: those of the four big ones, then of all others.
pub(super) fn channels() -> &'static [(String, String)] {
    static ALL: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
        let hot = HOT_CHANNELS.iter().enumerate();
        let hot = hot.map(|(hot, name)| ((*name).to_owned(), Random::of(u64::MAX - hot as u64).url()));
        let other = (0..CHANNELS).map(|number| {
            let mut own = Random::of(u64::MAX - 4 - number);
            let mut url = own.url();
            if own.below(10) > 0 {
                let id = i64::from((number as u32).reverse_bits() as i32).abs();
                url.push_str(&format!("&channel_id={id}"));
            }
            (format!("channel-{number}"), url)
        });
        hot.chain(other).collect()
    });
    &ALL
}

pub(super) struct Person {
    pub(super) id: i64,
    pub(super) texts: [String; 5],
    pub(super) time: i64,
    pub(super) extra: String,
}

pub(super) struct Auction {
    pub(super) id: i64,
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) initial_bid: i64,
    pub(super) reserve: i64,
    pub(super) time: i64,
    pub(super) expires: i64,
    pub(super) seller: i64,
    pub(super) category: i64,
    pub(super) extra: String,
}

pub(super) struct Bid {
    pub(super) auction: i64,
    pub(super) bidder: i64,
    /// What the price follows from.
    pub(super) price: Random,
    /// Which of the channels.
    pub(super) channel: usize,
    pub(super) time: i64,
    /// What the rest follows from.
    pub(super) rest: Random,
}

impl Config {
    /// A person; without texts, if nobody reads them.
    pub(super) fn person(&self, place: &Place, with_texts: bool) -> Person {
        let (id, time) = (place.last_person + FIRST_ID, place.time);
        if !with_texts {
            return Person { id, texts: Default::default(), time, extra: String::new() };
        }
        let mut random = Random::of(place.event);
        let name = format!("{} {}", random.one_of(&FIRST_NAMES), random.one_of(&LAST_NAMES));
        let email = format!("{}@{}.com", random.text(7, ' '), random.text(5, ' '));
        let mut four = || format!("{:04}", random.below(10_000));
        let card = [four(), four(), four(), four()].join(" ");
        let (city, state) = (random.one_of(&CITIES).to_owned(), random.one_of(&STATES).to_owned());
        let texts = [name, email, card, city, state];
        let size = 8 + texts.iter().map(String::len).sum::<usize>();
        let (mut extra, missing) = (String::new(), random.missing(size, self.sizes[0]));
        random.letters(missing, |letters| extra.push_str(letters));
        Person { id, texts, time, extra }
    }

    pub(super) fn auction(&self, place: &Place, with_extra: bool) -> Auction {
        let mut random = Random::of(place.event);
        let time = place.time;
        let initial_bid = random.price();
        let seller = match random.below(self.hot_sellers) > 0 {
            true => place.last_person / HOT * HOT,
            false => place.some_person(&mut random),
        };
        let category = FIRST_CATEGORY + random.below(CATEGORIES) as i64;
        // It is open for as long as it takes until so many others have begun, on average.
        let ahead = (IN_FLIGHT_AUCTIONS * self.total() / self.proportions[1]) as u64;
        let horizon = self.time(place.event + ahead) - time;
        let expires = time + 1 + random.below((horizon * 2).max(1) as u64) as i64;
        let (name, description) = (random.words(20), random.words(100));
        let reserve = initial_bid + random.price();
        let missing = random.missing(48 + name.len() + description.len(), self.sizes[1]);
        let mut extra = String::new();
        if with_extra {
            random.letters(missing, |letters| extra.push_str(letters));
        }
        Auction {
            id: place.last_auction + FIRST_ID,
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

    pub(super) fn bid(&self, place: &Place) -> Bid {
        let mut random = Random::of(place.event);
        let auction = match random.below(self.hot_auctions) > 0 {
            true => place.last_auction.max(0) / HOT * HOT,
            false => place.some_auction(&mut random),
        };
        let bidder = match random.below(self.hot_bidders) > 0 {
            // The second one, so that hot bidders are no hot sellers.
            true => place.last_person / HOT * HOT + 1,
            false => place.some_person(&mut random),
        };
        let price = random.clone();
        random.next();
        let channel = match random.below(2) > 0 {
            true => random.below(4),
            false => 4 + random.below(CHANNELS),
        };
        let (auction, bidder) = (auction + FIRST_ID, bidder + FIRST_ID);
        Bid { auction, bidder, price, channel: channel as usize, time: place.time, rest: random }
    }
}
