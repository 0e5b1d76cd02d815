use super::*;

#[test]
fn what_may_wait_is_a_matter_of_time() {
    let mut pace = Pace::default();
    let ms = Duration::from_millis;
    assert_eq!(pace.limits(1024, Duration::from_micros(100)), Some((BATCH_SIZE, 2_048_000)));
    assert_eq!(pace.limits(1024, Duration::from_micros(110)), None);
    assert_eq!(pace.limits(1000, ms(1000)), Some((20, 200)));
    assert_eq!(pace.limits(1, ms(5000)), Some((1, 1)));
    // It takes a while to be believed that it has become fast.
    assert!(pace.limits(20, Duration::from_micros(2)).is_none_or(|(batch, _)| batch == 1));
    let later = (0..100).filter_map(|_| pace.limits(20, Duration::from_micros(2))).last();
    assert_eq!(later.map(|(batch, _)| batch), Some(BATCH_SIZE));
}

#[test]
fn a_slow_reader_is_sent_no_more_than_it_gets_through_in_time() {
    let gate = Gate::new(16);
    let sender = gate.add_channel();
    Pace::default().took(1, Duration::from_millis(100), &gate);
    assert_eq!(sender.batch_limit(), 1);
    let writer =
        std::thread::spawn(move || (0..9).map(|i| sender.send(batch(i))).collect::<Result<Vec<_>, _>>());
    for read in 0..9 {
        let queued = || gate.shared.lock().channels[0].records;
        while queued() < 2 && read < 8 {
            std::thread::yield_now();
        }
        assert!(queued() <= 2);
        assert_eq!(value(gate.next(None)), Some(read));
    }
    writer.join().unwrap().unwrap();
}

#[test]
fn what_may_wait_is_a_matter_of_bytes_for_all_channels_together() {
    let gate = Gate::new(1000);
    gate.limit(BATCH_SIZE, usize::MAX);
    let senders = [gate.add_channel(), gate.add_channel()];
    let heavy = |value| {
        let Event::Batch(mut batch) = batch(value) else { unreachable!() };
        batch.origin = batch.origin.of_part(1 << 20);
        Event::Batch(batch)
    };
    let full = (QUEUED_BYTES >> 20) as u32;
    let writers: Vec<_> = senders
        .into_iter()
        .map(|sender| std::thread::spawn(move || (0..100).try_for_each(|i| sender.send(heavy(i)).map(drop))))
        .collect();
    for read in 0..200 {
        let queued = || gate.shared.lock().bytes >> 20;
        // Full, but for what no more is sent of; and each channel may have one batch in any case.
        while queued() < u64::from(full.min(200 - read)) {
            std::thread::yield_now();
        }
        assert!(queued() <= u64::from(full) + 1, "{}", queued());
        assert!(value(gate.next(None)).is_some());
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
    assert_eq!(gate.shared.lock().bytes, 0);
}

fn batch(value: u32) -> Event<u32> {
    let records = vec![crate::record::Record { value, timestamp: 0 }];
    Event::Batch(Batch { records, ..Batch::default() })
}

fn value(next: Next<u32>) -> Option<u32> {
    match next {
        Next::Event(_, Event::Batch(batch)) => Some(batch.records[0].value),
        _ => None,
    }
}

#[test]
fn order_holds_within_a_channel_and_none_starves() {
    let gate = Gate::new(1000);
    let senders = [gate.add_channel(), gate.add_channel()];
    for i in 0..60 {
        senders[0].send(batch(i)).unwrap();
    }
    senders[1].send(batch(1000)).unwrap();
    let first: Vec<u32> = (0..3).filter_map(|_| value(gate.next(None))).collect();
    assert_eq!(first, [0, 1000, 1]);
}

#[test]
fn a_full_channel_makes_its_writer_wait_until_there_is_room() {
    let gate = Gate::new(2);
    let sender = gate.add_channel();
    let writer =
        std::thread::spawn(move || (0..1000).map(|i| sender.send(batch(i))).collect::<Result<Vec<_>, _>>());
    let received: Vec<u32> = (0..1000).filter_map(|_| value(gate.next(None))).collect();
    assert_eq!(received, (0..1000).collect::<Vec<_>>());
    writer.join().unwrap().unwrap();
}

#[test]
fn a_blocked_channel_is_passed_over() {
    let gate = Gate::new(8);
    let senders = [gate.add_channel(), gate.add_channel()];
    senders[0].send(batch(0)).unwrap();
    senders[1].send(batch(1)).unwrap();
    gate.block(0);
    assert_eq!(value(gate.next(None)), Some(1));
    assert!(matches!(gate.next(Some(Instant::now() + Duration::from_millis(1))), Next::Timeout));
    gate.pass(1);
    assert_eq!(value(gate.next(None)), Some(0));
}

#[test]
fn mail_comes_first_and_cancelling_wakes_everybody() {
    let gate = Gate::new(1);
    let sender = gate.add_channel();
    sender.send(batch(0)).unwrap();
    gate.send(Mail::Committed(1));
    assert!(matches!(gate.next(None), Next::Mail(Mail::Committed(1))));
    let writer = std::thread::spawn(move || sender.send(batch(1)).is_err());
    gate.cancel();
    assert!(writer.join().unwrap());
    assert!(matches!(gate.next(None), Next::Cancelled));
}
