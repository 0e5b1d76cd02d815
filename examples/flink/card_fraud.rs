//! Cards that are tried with small amounts and then used for a large one, and orders that are never paid: patterns of events, in event time.
//!
//! `cargo run --release -p thalweg --example card_fraud`

use serde::{Deserialize, Serialize};
use thalweg::prelude::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Payment {
    card: u32,
    /// Cents.
    amount: u64,
    time: Timestamp,
}

/// Payments of a hundred cards, one each second. Every tenth card is stolen: now and then it is tried three times, and then emptied.
fn payments() -> Vec<Payment> {
    let mut payments = Vec::new();
    for second in 0..20_000_i64 {
        let (card, time) = ((second * 37 % 100) as u32, second * 1_000);
        if card % 10 == 0 && second % 7 == 0 {
            let tries = (0..3).map(|n| (50 + n, time + 2_000 * n as i64));
            let all = tries.chain([(90_000, time + 10_000)]);
            payments.extend(all.map(|(amount, time)| Payment { card, amount, time }));
        } else {
            payments.push(Payment { card, amount: 1_000 + second as u64 % 50_000, time });
        }
    }
    payments
}

fn main() -> Result<(), BoxError> {
    let env = StreamExecutionEnvironment::new();
    let times = WatermarkStrategy::for_bounded_out_of_orderness(Duration::from_secs(30))
        .with_timestamp_assigner(|payment: &Payment, _| payment.time);
    let payments = env.from_collection(payments()).assign_timestamps_and_watermarks(times);
    let tried = Pattern::begin_with("try", AfterMatchSkipStrategy::SkipPastLastEvent)
        .where_(|payment: &Payment| payment.amount < 100)
        .times_or_more(3)
        .consecutive()
        .next("emptied")
        .where_(|payment| payment.amount > 50_000)
        .within(Duration::from_secs(60));
    let alerts = Cep::pattern(&payments.key_by(|payment| payment.card), &tried).select(|found| {
        let emptied = found.first("emptied").map(|payment| (payment.card, payment.amount, payment.time));
        (emptied, found.get("try").len())
    });
    let alerts = alerts.flat_map(|(emptied, tries), out| {
        emptied.into_iter().for_each(|(card, amount, time)| out.collect((card, tries, amount, time)));
    });
    alerts.print_with_prefix("alert");
    env.execute("card fraud")?;
    Ok(())
}
