//! Requests under way, and whose turn it is.

use std::collections::{HashMap, VecDeque};

use crate::output::Output;
use crate::time::Timestamp;

pub(super) enum Queue<In, R> {
    Ordered(Ordered<In, R>),
    Unordered(Unordered<In, R>),
}

impl<In: Clone, R: IntoIterator> Queue<In, R>
where
    R::Item: Send + 'static,
{
    /// Adds a request, and returns its number.
    pub(super) fn add(&mut self, input: In, timestamp: Timestamp) -> u64 {
        match self {
            Queue::Ordered(queue) => {
                queue.requests += 1;
                queue.slots.push_back(Slot::Request { input, timestamp, results: None });
                queue.first + queue.slots.len() as u64 - 1
            }
            Queue::Unordered(queue) => queue.add(input, timestamp),
        }
    }

    /// A watermark has come after all that has been added so far.
    pub(super) fn watermark(&mut self, watermark: Timestamp) {
        match self {
            Queue::Ordered(queue) => match queue.slots.back_mut() {
                Some(Slot::Watermark(last)) => *last = watermark,
                _ => queue.slots.push_back(Slot::Watermark(watermark)),
            },
            Queue::Unordered(queue) => queue.watermark(watermark),
        }
    }

    /// A request has come to something; hands on what can be.
    pub(super) fn complete(&mut self, id: u64, results: R, output: &mut Output<R::Item>) {
        match self {
            Queue::Ordered(queue) => queue.complete(id, results, output),
            Queue::Unordered(queue) => queue.complete(id, results, output),
        }
    }

    /// What a request was made of.
    pub(super) fn input(&self, id: u64) -> Option<In> {
        match self {
            Queue::Ordered(queue) => match queue.slots.get(id.checked_sub(queue.first)? as usize)? {
                Slot::Request { input, .. } => Some(input.clone()),
                Slot::Watermark(_) => None,
            },
            Queue::Unordered(queue) => queue.under_way.get(&id).map(|request| request.input.clone()),
        }
    }

    /// All of which nothing has been handed on, in their order if that matters.
    pub(super) fn inputs(&self) -> Vec<(In, Timestamp)> {
        match self {
            Queue::Ordered(queue) => {
                let slots = queue.slots.iter();
                slots
                    .filter_map(|slot| match slot {
                        Slot::Request { input, timestamp, .. } => Some((input.clone(), *timestamp)),
                        Slot::Watermark(_) => None,
                    })
                    .collect()
            }
            Queue::Unordered(queue) => {
                let under_way =
                    queue.under_way.values().map(|request| (request.input.clone(), request.timestamp));
                let done = queue.stretches.iter().flat_map(|stretch| &stretch.done);
                under_way.chain(done.map(|(input, timestamp, _)| (input.clone(), *timestamp))).collect()
            }
        }
    }
}

impl<In, R> Queue<In, R> {
    pub(super) fn new(ordered: bool) -> Self {
        if ordered { Queue::Ordered(Ordered::from(0)) } else { Queue::Unordered(Unordered::from(0)) }
    }

    /// Forgets everything. What was under way is not taken for what is added from here on.
    pub(super) fn clear(&mut self) {
        match self {
            Queue::Ordered(queue) => *queue = Ordered::from(queue.first + queue.slots.len() as u64),
            Queue::Unordered(queue) => *queue = Unordered::from(queue.next),
        }
    }

    /// How many requests there are of which nothing has been handed on.
    pub(super) fn len(&self) -> usize {
        match self {
            Queue::Ordered(queue) => queue.requests,
            Queue::Unordered(queue) => queue.under_way.len() + queue.done,
        }
    }
}

/// In the order of the records.
pub(super) struct Ordered<In, R> {
    slots: VecDeque<Slot<In, R>>,
    /// The number of the first slot.
    first: u64,
    requests: usize,
}

enum Slot<In, R> {
    Request { input: In, timestamp: Timestamp, results: Option<R> },
    Watermark(Timestamp),
}

impl<In, R> From<u64> for Ordered<In, R> {
    fn from(first: u64) -> Self {
        Self { slots: VecDeque::new(), first, requests: 0 }
    }
}

impl<In, R: IntoIterator> Ordered<In, R>
where
    R::Item: Send + 'static,
{
    fn complete(&mut self, id: u64, done: R, output: &mut Output<R::Item>) {
        let slot = id.checked_sub(self.first).and_then(|place| self.slots.get_mut(place as usize));
        if let Some(Slot::Request { results, .. }) = slot {
            *results = Some(done);
        }
        while !matches!(self.slots.front(), None | Some(Slot::Request { results: None, .. })) {
            self.first += 1;
            match self.slots.pop_front() {
                Some(Slot::Request { results, timestamp, .. }) => {
                    self.requests -= 1;
                    results.into_iter().flatten().for_each(|result| output.push(result, timestamp));
                }
                Some(Slot::Watermark(watermark)) => output.push_watermark(watermark),
                None => {}
            }
        }
    }
}

/// As they come, between two watermarks.
pub(super) struct Unordered<In, R> {
    under_way: HashMap<u64, Request<In>>,
    next: u64,
    /// What comes before a watermark. There is always one.
    stretches: VecDeque<Stretch<In, R>>,
    /// The number of the first.
    first: u64,
    /// So many are done, and wait for their turn.
    done: usize,
}

struct Request<In> {
    input: In,
    timestamp: Timestamp,
    stretch: u64,
}

struct Stretch<In, R> {
    waiting: usize,
    /// Done, while a stretch before it is not through.
    done: Vec<(In, Timestamp, R)>,
    watermark: Option<Timestamp>,
}

impl<In, R> Default for Stretch<In, R> {
    fn default() -> Self {
        Self { waiting: 0, done: Vec::new(), watermark: None }
    }
}

impl<In, R> From<u64> for Unordered<In, R> {
    fn from(next: u64) -> Self {
        Self { under_way: HashMap::new(), next, stretches: [Stretch::default()].into(), first: 0, done: 0 }
    }
}

impl<In, R> Unordered<In, R> {
    fn add(&mut self, input: In, timestamp: Timestamp) -> u64 {
        let stretch = self.first + self.stretches.len() as u64 - 1;
        if let Some(last) = self.stretches.back_mut() {
            last.waiting += 1;
        }
        self.next += 1;
        self.under_way.insert(self.next, Request { input, timestamp, stretch });
        self.next
    }

    fn watermark(&mut self, watermark: Timestamp) {
        let count = self.stretches.len();
        let nothing_since =
            self.stretches.back().is_some_and(|last| last.waiting == 0 && last.done.is_empty());
        if nothing_since && count > 1 {
            self.stretches[count - 2].watermark = Some(watermark);
        } else if let Some(last) = self.stretches.back_mut() {
            last.watermark = Some(watermark);
            self.stretches.push_back(Stretch::default());
        }
    }
}

impl<In, R: IntoIterator> Unordered<In, R>
where
    R::Item: Send + 'static,
{
    fn complete(&mut self, id: u64, results: R, output: &mut Output<R::Item>) {
        let mut hand_on =
            |results: R, timestamp| results.into_iter().for_each(|result| output.push(result, timestamp));
        let Some(Request { input, timestamp, stretch }) = self.under_way.remove(&id) else { return };
        let Some(of) = self.stretches.get_mut((stretch - self.first) as usize) else { return };
        of.waiting -= 1;
        if stretch == self.first {
            hand_on(results, timestamp);
        } else {
            of.done.push((input, timestamp, results));
            self.done += 1;
        }
        let mut reached = None;
        while self.stretches.len() > 1 && self.stretches[0].waiting == 0 {
            let Some(head) = self.stretches.pop_front() else { break };
            // Its watermark, and then the next stretch has its turn.
            reached = head.watermark.or(reached);
            self.first += 1;
            if let Some(next) = self.stretches.front_mut() {
                self.done -= next.done.len();
                next.done.drain(..).for_each(|(_, timestamp, results)| hand_on(results, timestamp));
            }
        }
        if let Some(watermark) = reached {
            output.push_watermark(watermark);
        }
    }
}
