//! Orders with the rate of their currency, which is broadcast, and with the payment that comes within an hour. See `enrichment.md`.
//!
//! `cargo run --release -p thalweg --example enrichment`

use serde::{Deserialize, Serialize};
use thalweg::prelude::*;

const HOUR: i64 = 3_600_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u32,
    currency: String,
    cents: i64,
    time: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Payment {
    order: u32,
    time: Timestamp,
}

/// A currency, and what a thousandth of it is worth from then on.
type Rate = (String, i64);

/// Converts orders by the latest rate. Those whose currency is not known yet wait for it.
#[derive(Clone, Default)]
struct Convert {
    waiting: Vec<Order>,
}

fn converted(order: &Order, rate: i64) -> Order {
    Order { cents: order.cents * rate / 1_000, currency: "EUR".to_owned(), ..order.clone() }
}

impl KeyedBroadcastProcessFunction for Convert {
    type Key = u32;
    type In = Order;
    type Broadcast = Rate;
    type StateKey = String;
    type StateValue = i64;
    type Out = Order;

    fn states(&mut self, states: &mut States<'_>) {
        states.list("waiting", &mut self.waiting);
    }

    fn process_element(
        &mut self,
        order: Order,
        rates: &BroadcastState<String, i64>,
        context: &mut BroadcastContextOf<'_, Self>,
    ) -> Result<(), BoxError> {
        match rates.get(&order.currency) {
            Some(rate) => context.collect(converted(&order, *rate)),
            None => self.waiting.push(order),
        }
        Ok(())
    }

    fn process_broadcast_element(
        &mut self,
        (currency, rate): Rate,
        rates: &mut BroadcastState<String, i64>,
        context: &mut ProcessContext<'_, Order>,
    ) -> Result<(), BoxError> {
        for order in self.waiting.extract_if(.., |order| order.currency == currency) {
            context.collect(converted(&order, rate));
        }
        rates.put(currency, rate);
        Ok(())
    }
}

/// An order each minute; two of three are paid ten minutes later, and each tenth after two hours, which is too late.
fn main() -> Result<(), BoxError> {
    let order = |id: u32| {
        let (currency, time) = (["EUR", "USD", "GBP"][id as usize % 3], i64::from(id) * 60_000);
        Order { id, currency: currency.to_owned(), cents: 1_000 + i64::from(id), time }
    };
    let payment = |id: u32| {
        let after = if id.is_multiple_of(10) { 2 * HOUR } else { 600_000 };
        (id % 3 != 2).then_some(Payment { order: id, time: i64::from(id) * 60_000 + after })
    };
    let mut payments: Vec<Payment> = (0..300).filter_map(payment).collect();
    payments.sort_by_key(|payment| payment.time);

    let env = StreamExecutionEnvironment::new();
    let rates = [("EUR", 1_000), ("USD", 900), ("GBP", 1_150)];
    let rates = env.from_collection(rates.map(|(currency, rate)| (currency.to_owned(), rate)).to_vec());
    let orders = env.from_collection((0..300).map(order).collect());
    let orders = orders
        .key_by(|order| order.id)
        .connect_broadcast(&rates.broadcast_state())
        .process(Convert::default());
    // Behind the broadcast, as what had to wait is out of order.
    let day = Duration::from_secs(24 * 3_600);
    let orders = orders.uid("convert").assign_timestamps(day, |order| order.time);
    let payments = env.from_collection(payments).assign_timestamps(day, |payment| payment.time);
    let paid = orders
        .key_by(|order| order.id)
        .interval_join(&payments.key_by(|payment| payment.order))
        .between(0..=HOUR)
        .process(|order, payment, context| {
            context.collect((order.id, order.cents, (payment.time - order.time) / 60_000))
        });
    paid.print_with_prefix("paid (order, cents, after minutes)");
    env.execute("enrichment")?;
    Ok(())
}
