//! Pairs of shapes of one colour that follow each other as a rule says; rules come while the job runs (the example of Flink's broadcast state pattern).
//!
//! `cargo run --release -p thalweg --example broadcast_state`

use std::collections::HashMap;

use thalweg::prelude::*;

/// A colour and a shape.
type Item = (&'static str, &'static str);

/// Its name, and the two shapes that are looked for.
type Rule = (String, (String, String));

/// Of each rule the first shapes that wait for a second one.
#[derive(Clone, Default)]
struct Matches {
    waiting: MapState<String, String, u32>,
}

impl KeyedBroadcastProcessFunction for Matches {
    type Key = String;
    type In = Item;
    type Broadcast = Rule;
    type StateKey = String;
    type StateValue = (String, String);
    type Out = String;

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("waiting", &mut self.waiting);
    }

    fn process_element(
        &mut self,
        (color, shape): Item,
        rules: &BroadcastState<String, (String, String)>,
        context: &mut BroadcastContextOf<'_, Self>,
    ) -> Result<(), BoxError> {
        // In the order of their names, so that the output is the same each time.
        let mut rules: Vec<_> = rules.entries().collect();
        rules.sort();
        for (name, (first, second)) in rules {
            let waiting = self.waiting.get(context, name).copied().unwrap_or(0);
            if shape == second && waiting > 0 {
                (0..waiting).for_each(|_| context.collect(format!("{color}: {first} - {second}, by {name}")));
                self.waiting.remove(context, name);
            }
            // No else: a rule may look for twice the same.
            if shape == first {
                let left = self.waiting.get(context, name).copied().unwrap_or(0);
                self.waiting.put(context, name.clone(), left + 1);
            }
        }
        Ok(())
    }

    fn process_broadcast_element(
        &mut self,
        (name, shapes): Rule,
        rules: &mut BroadcastState<String, (String, String)>,
        _: &mut ProcessContext<'_, String>,
    ) -> Result<(), BoxError> {
        rules.put(name, shapes);
        Ok(())
    }
}

fn main() -> Result<(), BoxError> {
    let env = StreamExecutionEnvironment::new();
    let rules = HashMap::from([("corners", ("rectangle", "triangle")), ("round", ("circle", "circle"))]);
    let rules: Vec<Rule> = rules
        .into_iter()
        .map(|(name, (first, second))| (name.to_owned(), (first.to_owned(), second.to_owned())))
        .collect();
    let rules = env.from_collection(rules).broadcast_state();
    // The order between the two streams is not defined, so shapes come a little later here.
    let shapes = [
        ("blue", "rectangle"),
        ("red", "circle"),
        ("blue", "rectangle"),
        ("red", "triangle"),
        ("blue", "triangle"),
        ("red", "circle"),
        ("blue", "triangle"),
        ("red", "circle"),
    ];
    let shapes = env.add_source(
        move |store: &Store<Item>| {
            store.wait(Duration::from_millis(500));
            Ok(shapes.into_iter().try_for_each(|shape| store.store(shape))?)
        },
        "shapes",
    );
    shapes
        .key_by(|(color, _)| (*color).to_owned())
        .connect_broadcast(&rules)
        .process(Matches::default())
        .print();
    env.execute("Broadcast State")?;
    Ok(())
}
