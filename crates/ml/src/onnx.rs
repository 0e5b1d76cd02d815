//! Models that were trained elsewhere, from ONNX files: by [`tract`](tract_onnx), behind the feature `onnx`.
//!
//! - **Reads** what scikit-learn's linear models, trees, forests and boosted trees, pipelines of scalers before them, and other models
//!   become by `skl2onnx`: one input of so many numbers a record; one output, of probabilities by class, or of a number. Classes are
//!   numbered by their place among the labels. `ZipMap` nodes are passed by, and ensembles of regression trees are read as those of
//!   classes, so nothing has to be exported otherwise for us.
//! - **Learns** nothing, and says that all is well: so in [`Learn`](crate::operators::Learn) a model of somewhere else is scored while it
//!   runs, and looked after by drift detectors; in [`Predict`](crate::operators::Predict) a newer version takes its place by broadcast.
//!   Its state is the file.
//! - **Refuses** features that are missing, infinite or of another number.
//! - **Numbers** are 32 bits wide, as ONNX has them: they agree with scikit-learn's to about 1e-5 (`tests/onnx.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::onnx::OnnxClassifier;
//!
//! let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/onnx/logistic.onnx"))?;
//! let model = OnnxClassifier::from_bytes(file)?;
//! assert_eq!(model.width(), 30);
//! assert!(model.predict_one(&[0.5; 30])?.class().is_some());
//! assert!(model.predict_one(&[f64::NAN; 30]).is_err());
//! assert!(OnnxClassifier::from_bytes(b"no model".to_vec()).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use thiserror::Error;
use tract_onnx::pb;
use tract_onnx::prelude::*;

use crate::features::check_dense;
use crate::{Class, Classification, Learner, Rejected};

/// Why an ONNX file could not be read.
#[derive(Clone, Debug, Error)]
#[error("the ONNX model cannot be run: {0}")]
pub struct OnnxError(String);

/// What a file becomes.
#[derive(Clone, Debug)]
struct Plan {
    width: usize,
    run: Arc<TypedRunnableModel>,
}

/// The file, and what it became.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Model {
    #[serde(with = "shared")]
    file: Arc<Vec<u8>>,
    #[serde(skip)]
    plan: OnceLock<Result<Plan, OnnxError>>,
}

/// Bytes that clones share.
mod shared {
    use super::{Arc, Deserialize, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(
        file: &Arc<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (**file).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Vec<u8>>, D::Error> {
        Ok(Arc::new(Vec::deserialize(deserializer)?))
    }
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file
    }
}

impl Model {
    fn new(file: Vec<u8>) -> Result<Self, OnnxError> {
        let model = Self { file: Arc::new(file), plan: OnceLock::new() };
        model.plan()?;
        Ok(model)
    }

    /// A model that came out of a checkpoint, or from another subtask, is read when it is used.
    fn plan(&self) -> Result<&Plan, OnnxError> {
        self.plan.get_or_init(|| read(&self.file)).as_ref().map_err(OnnxError::clone)
    }

    fn run<T>(&self, x: &[f64], take: impl FnOnce(&[f32]) -> T) -> Result<T, Rejected> {
        let not_ready = |error: &dyn std::fmt::Display| Rejected::NotReady(error.to_string());
        let plan = self.plan().map_err(|error| not_ready(&error))?;
        check_dense(x, Some(plan.width))?;
        let input: Vec<f32> = x.iter().map(|x| *x as f32).collect();
        let run = || -> TractResult<T> {
            let input = Tensor::from_shape(&[1, plan.width], &input)?;
            let output = plan.run.run(tvec!(input.into()))?;
            let output = output.first().ok_or_else(|| TractError::msg("the model has no output"))?;
            Ok(take(output.view().as_slice::<f32>()?))
        };
        run().map_err(|error| not_ready(&error))
    }
}

fn read(file: &[u8]) -> Result<Plan, OnnxError> {
    let plan = || -> TractResult<Plan> {
        let onnx = tract_onnx::onnx();
        let mut proto = onnx.proto_model_for_read(&mut &*file)?;
        let graph = proto.graph.as_mut().ok_or_else(|| TractError::msg("there is no graph in it"))?;
        prepare(graph)?;
        let width = width(graph).ok_or_else(|| {
            TractError::msg(
                "its input is not of a known number of features; export it with [None, the number]",
            )
        })?;
        let model = onnx.model_for_proto_model(&proto)?;
        let model = model.with_input_fact(0, f32::fact([1, width]).into())?;
        Ok(Plan { width, run: model.into_optimized()?.into_runnable()? })
    };
    plan().map_err(|error| OnnxError(format!("{error:#}")))
}

/// The number of features of a record.
fn width(graph: &pb::GraphProto) -> Option<usize> {
    let pb::type_proto::Value::TensorType(tensor) = graph.input.first()?.r#type.as_ref()?.value.as_ref()?;
    match tensor.shape.as_ref()?.dim.get(1)?.value.as_ref()? {
        pb::tensor_shape_proto::dimension::Value::DimValue(width) => usize::try_from(*width).ok(),
        pb::tensor_shape_proto::dimension::Value::DimParam(_) => None,
    }
}

/// Leaves of a graph what makes its numbers: no labels, no maps of them; and makes trees of numbers trees of classes.
fn prepare(graph: &mut pb::GraphProto) -> TractResult<()> {
    let map = graph.node.iter().find(|node| node.op_type == "ZipMap").and_then(|node| node.input.first());
    // Of two outputs, labels come first.
    let output = map.or(graph.output.last().map(|output| &output.name)).cloned();
    let output = output.ok_or_else(|| TractError::msg("there is no output in it"))?;
    let mut needed = vec![output.clone()];
    let mut kept = Vec::new();
    for mut node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|output| needed.contains(output)) {
            needed.extend(node.input.iter().cloned());
            match node.op_type.as_str() {
                "TreeEnsembleRegressor" => of_classes(&mut node)?,
                "TreeEnsembleClassifier" => pad(&mut node),
                "Scaler" => {
                    let [subtract, multiply] = as_arithmetic(node, &mut graph.initializer);
                    kept.extend([multiply, subtract]);
                    continue;
                }
                _ => {}
            }
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    graph.output = vec![pb::ValueInfoProto { name: output, ..Default::default() }];
    graph.value_info.clear();
    Ok(())
}

/// Trees that vote for one of two classes only have one value to begin with, where two are asked for.
fn pad(trees: &mut pb::NodeProto) {
    let labels = |attribute: &pb::AttributeProto| attribute.ints.len().max(attribute.strings.len());
    let labels = trees.attribute.iter().find(|of| of.name.starts_with("classlabels_")).map_or(0, labels);
    for attribute in trees.attribute.iter_mut().filter(|of| of.name == "base_values") {
        if attribute.floats.len() == 1 && labels == 2 {
            attribute.floats.push(0.0);
        }
    }
}

/// A scaler as what it does: subtracts, then multiplies.
fn as_arithmetic(scaler: pb::NodeProto, constants: &mut Vec<pb::TensorProto>) -> [pb::NodeProto; 2] {
    let (input, output) = (scaler.input.concat(), scaler.output.concat());
    let mut step = |op_type: &str, attribute: &str, neutral: f32, input: String, output: String| {
        let given = scaler.attribute.iter().find(|given| given.name == attribute);
        let values = given.map_or(vec![neutral], |given| given.floats.clone());
        let constant = format!("{output}:{attribute}");
        constants.push(pb::TensorProto {
            name: constant.clone(),
            dims: vec![values.len() as i64],
            data_type: pb::tensor_proto::DataType::Float as i32,
            float_data: values,
            ..Default::default()
        });
        pb::NodeProto {
            name: format!("{output}:{op_type}"),
            op_type: op_type.to_owned(),
            input: vec![input, constant],
            output: vec![output],
            ..Default::default()
        }
    };
    let between = format!("{output}:centered");
    let subtract = step("Sub", "offset", 0.0, input, between.clone());
    [subtract, step("Mul", "scale", 1.0, between, output)]
}

/// An ensemble of trees whose leaves add to one number, as one whose leaves add to the votes of one of two classes.
fn of_classes(node: &mut pb::NodeProto) -> TractResult<()> {
    let targets = node.attribute.iter().find(|attribute| attribute.name == "n_targets").map_or(1, |n| n.i);
    if targets != 1 {
        return Err(TractError::msg(format!(
            "an ensemble of trees for {targets} numbers; one for each number can be read"
        )));
    }
    node.op_type = "TreeEnsembleClassifier".to_owned();
    node.output.insert(0, format!("{}:label", node.name));
    let mut average = false;
    node.attribute.retain(|attribute| {
        average |= attribute.name == "aggregate_function" && *attribute.s != *b"SUM";
        !matches!(attribute.name.as_str(), "n_targets" | "aggregate_function")
    });
    if average {
        return Err(TractError::msg("an ensemble of trees whose leaves are not summed"));
    }
    for attribute in &mut node.attribute {
        if let Some(name) = attribute.name.strip_prefix("target_") {
            attribute.name = format!("class_{name}");
        }
    }
    let labels = pb::AttributeProto {
        name: "classlabels_int64s".to_owned(),
        r#type: pb::attribute_proto::AttributeType::Ints as i32,
        ints: vec![0, 1],
        ..Default::default()
    };
    node.attribute.push(labels);
    pad(node);
    Ok(())
}

/// A classifier. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnnxClassifier {
    model: Model,
}

/// A regressor. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnnxRegressor {
    model: Model,
}

macro_rules! of_bytes {
    ($name:ty) => {
        impl $name {
            /// The model of a file.
            ///
            /// # Errors
            /// When it is no ONNX file, or has something in it that cannot be run.
            pub fn from_bytes(file: Vec<u8>) -> Result<Self, OnnxError> {
                Ok(Self { model: Model::new(file)? })
            }

            /// The number of features; 0 for what cannot be run.
            pub fn width(&self) -> usize {
                self.model.plan().map_or(0, |plan| plan.width)
            }
        }
    };
}
of_bytes!(OnnxClassifier);
of_bytes!(OnnxRegressor);

impl<X: AsRef<[f64]>> Learner<X> for OnnxClassifier {
    type Target = Class;
    type Prediction = Classification;

    fn learn_one(&mut self, _: &X, _: &Class) -> Result<(), Rejected> {
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        let of = |probabilities: &[f32]| {
            Classification::new(probabilities.iter().map(|p| f64::from(*p)).collect::<SmallVec<_>>())
        };
        self.model.run(x.as_ref(), of)
    }
}

impl<X: AsRef<[f64]>> Learner<X> for OnnxRegressor {
    type Target = f64;
    type Prediction = f64;

    fn learn_one(&mut self, _: &X, _: &f64) -> Result<(), Rejected> {
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<f64, Rejected> {
        // Of an ensemble of trees that was read as one of classes, the number is the last of two.
        self.model.run(x.as_ref(), |output| output.last().copied().map_or(0.0, f64::from))
    }
}
