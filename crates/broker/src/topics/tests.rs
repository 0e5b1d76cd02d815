use super::*;
use crate::log::batch::tests::plain_batch;
use crate::log::partition::Isolation;
use crate::settings::store::Layer;

#[test]
fn topics_survive_and_a_recreated_one_is_another() {
    let data = tempfile::tempdir().unwrap();
    let topics = Topics::open(data.path(), &BrokerSettings::default()).unwrap();
    let first = topics.create("t", 1, TopicConfig::default()).unwrap();
    let twice = topics.create("t", 1, TopicConfig::default()).unwrap_err();
    assert_eq!(twice.0, ResponseError::TopicAlreadyExists);
    topics.delete(&first).unwrap();
    let second = topics.create("t", 2, TopicConfig::default()).unwrap();
    topics.grow(&second, 3).unwrap();
    assert_eq!(topics.grow(&second, 3).unwrap_err().1, "Topic already has 3 partition(s).");
    let less = topics.grow(&second, 2).unwrap_err();
    assert_eq!(less.1, "The topic t currently has 3 partition(s); 2 would not be an increase.");
    let again = Topics::open(data.path(), &BrokerSettings::default()).unwrap().get("t").unwrap();
    assert_eq!((again.id, again.partition_count()), (second.id, 3));
    assert_ne!(again.id, first.id);
}

#[test]
fn what_an_earlier_topic_has_left_is_not_taken_for_the_new_one() {
    let data = tempfile::tempdir().unwrap();
    let topics = Topics::open(data.path(), &BrokerSettings::default()).unwrap();
    let left = data.path().join("topics/t-1");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("00000000000000000007.log"), "left over").unwrap();
    let topic = topics.create("t", 1, TopicConfig::default()).unwrap();
    topics.grow(&topic, 2).unwrap();
    assert_eq!(topic.partition(1).unwrap().bounds().end, 0);
}

#[test]
fn a_deleted_topic_takes_and_gives_nothing_and_holds_no_files() {
    let data = tempfile::tempdir().unwrap();
    let topics = Topics::open(data.path(), &BrokerSettings::default()).unwrap();
    let topic = topics.create("t", 1, TopicConfig::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    let batch = plain_batch(1, 0, (-1, -1, -1), false);
    partition.append(&batch, topic.config().rules(), 0).unwrap();
    topics.delete(&topic).unwrap();
    let late = partition.append(&batch, topic.config().rules(), 0);
    assert_eq!(late.unwrap_err(), ResponseError::UnknownTopicOrPartition);
    let read = partition.read(0, 1 << 20, true, Isolation::ReadUncommitted);
    assert_eq!(read.unwrap_err(), ResponseError::UnknownTopicOrPartition);
    assert_eq!(partition.usage().bytes, 0);
    partition.flush().unwrap();
}

#[test]
fn a_topic_that_cannot_be_stored_leaves_no_files() {
    let data = tempfile::tempdir().unwrap();
    let topics = Topics::open(data.path(), &BrokerSettings::default()).unwrap();
    let kept = topics.create("kept", 1, TopicConfig::default()).unwrap();
    let folders = || std::fs::read_dir(data.path().join("topics")).unwrap().count();
    // The third partition cannot be made: a file is where its folder should be.
    std::fs::write(data.path().join("topics/t-2"), "").unwrap();
    let before = folders();
    let refused = topics.create("t", 4, TopicConfig::default()).unwrap_err();
    assert_eq!((refused.0, folders()), (ResponseError::KafkaStorageError, before));
    std::fs::rename(data.path().join("topics/t-2"), data.path().join("topics/kept-2")).unwrap();
    let refused = topics.grow(&kept, 4).unwrap_err();
    assert_eq!((refused.0, folders()), (ResponseError::KafkaStorageError, before));
    assert_eq!(kept.partition_count(), 1);
    std::fs::remove_file(data.path().join("topics/kept-2")).unwrap();
    // They cannot be written down.
    let registry = topics.registry.as_ref().unwrap();
    registry.set_full(true);
    let both = || {
        ["t", "u"]
            .map(|name| Ok(NewTopic { name: name.to_owned(), partitions: 2, config: TopicConfig::default() }))
    };
    let created = topics.create_all(both().into());
    assert!(
        created
            .iter()
            .all(|topic| topic.as_ref().is_err_and(|refused| refused.0 == ResponseError::KafkaStorageError))
    );
    assert!(topics.grow(&kept, 4).is_err());
    assert_eq!((folders(), topics.list().len(), kept.partition_count()), (1, 1, 1));
    registry.set_full(false);
    assert!(topics.create_all(both().into()).iter().all(Result::is_ok));
    topics.grow(&kept, 4).unwrap();
    assert_eq!(folders(), 8);
}

#[test]
fn topics_of_one_request_are_created_or_refused_each_for_itself_and_written_down_at_once() {
    let data = tempfile::tempdir().unwrap();
    let topics = Topics::open(data.path(), &BrokerSettings::default()).unwrap();
    let before = std::fs::read_to_string(data.path().join("topics.journal")).unwrap().lines().count();
    let wanted = ["a", "a.b", "a", "a_b", "", "c"];
    let wanted = wanted
        .map(|name| Ok(NewTopic { name: name.to_owned(), partitions: 1, config: TopicConfig::default() }));
    let created = topics.create_all(wanted.into());
    let codes: Vec<_> = created.iter().map(|topic| topic.as_ref().err().map(|refusal| refusal.0)).collect();
    let (exists, invalid) = (ResponseError::TopicAlreadyExists, ResponseError::InvalidTopicException);
    assert_eq!(codes, [None, None, Some(exists), Some(invalid), Some(invalid), None]);
    let lines = std::fs::read_to_string(data.path().join("topics.journal")).unwrap().lines().count();
    assert_eq!(lines, before + 1);
    let again = Topics::open(data.path(), &BrokerSettings::default()).unwrap();
    let names: Vec<_> = again.list().iter().map(|topic| topic.name.clone()).collect();
    assert_eq!(names, ["a", "a.b", "c"]);
}

#[test]
fn what_is_written_for_a_topic_does_not_grow_with_what_is_there() {
    let data = tempfile::tempdir().unwrap();
    let topics = Topics::open(data.path(), &BrokerSettings::default()).unwrap();
    let written = || std::fs::metadata(data.path().join("topics.journal")).unwrap().len();
    let mut lengths = Vec::new();
    for n in 100..400 {
        let before = written();
        topics.create(&format!("topic_{n}"), 1, TopicConfig::default()).unwrap();
        lengths.push(written() - before);
    }
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
}

#[test]
fn a_journal_that_is_shortened_by_a_change_has_that_change() {
    let data = tempfile::tempdir().unwrap();
    let settings = Settings::in_memory(BTreeMap::new()).unwrap();
    let topics = Topics::open(data.path(), &settings.broker()).unwrap();
    // A setting of more than a megabyte.
    let long = || {
        let replicas = "1000000:1,".repeat(120_000) + "1:1";
        BTreeMap::from([("leader.replication.throttled.replicas".to_owned(), replicas)])
    };
    let len = || std::fs::metadata(data.path().join("topics.journal")).unwrap().len();
    let big = topics.create("big", 1, TopicConfig::new(long(), &settings.broker()).unwrap()).unwrap();
    let small = topics.create("small", 1, TopicConfig::default()).unwrap();
    let mut shortened = 0;
    for n in 0..12 {
        let before = len();
        match n % 3 {
            0 => drop(topics.create(
                &format!("t{n}"),
                1,
                TopicConfig::new(long(), &settings.broker()).unwrap(),
            )),
            1 => topics.grow(&big, big.partition_count() + 1).unwrap(),
            _ => topics.alter(&small, Alteration::Replace(long()), &settings, false).unwrap(),
        }
        shortened += u32::from(len() < before);
        // A copy, since opening it may shorten it as well.
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("topics")).unwrap();
        std::fs::copy(data.path().join("topics.journal"), copy.path().join("topics.journal")).unwrap();
        let again = Topics::open(copy.path(), &settings.broker()).unwrap();
        let described = |topics: &Topics| {
            let one =
                |topic: &Arc<Topic>| (topic.id, topic.partition_count(), topic.config().overrides().len());
            topics.list().iter().map(one).collect::<Vec<_>>()
        };
        assert_eq!(described(&again), described(&topics), "{n}");
    }
    assert!(shortened > 0);
}

#[test]
fn a_deleted_topic_is_not_altered_or_grown_into_being_again() {
    let data = tempfile::tempdir().unwrap();
    let settings = Settings::in_memory(BTreeMap::new()).unwrap();
    let topics = Topics::open(data.path(), &settings.broker()).unwrap();
    let topic = topics.create("t", 1, TopicConfig::default()).unwrap();
    topics.delete(&topic).unwrap();
    let set = Alteration::Replace([("retention.ms".to_owned(), "7".to_owned())].into());
    let unknown = ResponseError::UnknownTopicOrPartition;
    assert_eq!(topics.alter(&topic, set, &settings, false).unwrap_err().0, unknown);
    assert_eq!(topics.grow(&topic, 2).unwrap_err().0, unknown);
    assert!(Topics::open(data.path(), &settings.broker()).unwrap().list().is_empty());
}

#[test]
fn names_cannot_leave_the_folder() {
    let topics = Topics::in_memory();
    for name in ["", ".", "..", "a/b", "ä", "a b", &"x".repeat(250)] {
        let refused = topics.may_create(name, 1).unwrap_err();
        assert_eq!(refused.0, ResponseError::InvalidTopicException, "{name}");
    }
}

#[test]
fn names_that_metrics_cannot_tell_apart_collide() {
    let topics = Topics::in_memory();
    topics.create("a.b_c", 1, TopicConfig::default()).unwrap();
    let collision = topics.may_create("a_b.c", 1).unwrap_err();
    assert_eq!(
        collision,
        (
            ResponseError::InvalidTopicException,
            "Topic 'a_b.c' collides with existing topic: a.b_c".to_owned()
        )
    );
    for other in ["a.b-c", "a.b_c_", "abc"] {
        assert_eq!(topics.may_create(other, 1), Ok(()), "{other}");
    }
}

#[test]
fn topics_follow_the_broker_where_nothing_was_set_on_them() {
    let data = tempfile::tempdir().unwrap();
    let settings = Settings::in_memory(BTreeMap::new()).unwrap();
    let topics = Topics::open(data.path(), &settings.broker()).unwrap();
    let names = ["follows", "stays"];
    let [follows, stays] = names.map(|name| topics.create(name, 1, TopicConfig::default()).unwrap());
    let set = |name: &str, value: &str| Alteration::Replace([(name.to_owned(), value.to_owned())].into());
    topics.alter(&stays, set("retention.ms", "7"), &settings, false).unwrap();
    settings.alter_broker(Layer::Cluster, set("log.retention.ms", "9"), false).unwrap();
    topics.inherit(&settings);
    assert_eq!((follows.config().retention_ms, stays.config().retention_ms), (Some(9), Some(7)));
    let again = Topics::open(data.path(), &settings.broker()).unwrap();
    let kept = names.map(|name| again.get(name).unwrap().config().retention_ms);
    assert_eq!(kept, [Some(9), Some(7)]);
    let refused = topics.alter(&stays, set("retention.ms", "x"), &settings, false).unwrap_err();
    assert_eq!(refused.0, ResponseError::InvalidConfig);
    assert_eq!(stays.config().retention_ms, Some(7));
}
