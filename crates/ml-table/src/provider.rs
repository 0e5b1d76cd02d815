//! The provider `thalweg`: from what `CREATE MODEL` says to operators.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::hash::key_hash;
use thalweg_ml::Classes;
use thalweg_ml::drift::{Adwin, Ddm, DriftDetector, Kswin, PageHinkley};
use thalweg_ml::operators::{BadRecordPolicy, OnDrift, PrequentialSettings};
use thalweg_table::chunk::Chunk;
use thalweg_table::error::SqlError;
use thalweg_table::models::{Model, ModelCall, ModelDefinition, ModelProvider};

use crate::algorithms::{self, Built};
use crate::columns::{Answer, Says, is_feature};
use crate::learn_rows::{LearnRows, Scored};
use crate::options::Options;
use crate::predict_rows::{PredictRows, Rows};

/// The provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thalweg;

/// A model of this provider.
struct ThalwegModel {
    built: Built,
    says: Vec<Says>,
    label: Option<LabelKind>,
    bad: BadRecordPolicy,
    classes: Classes,
    drift: Option<DriftDetector>,
    on_drift: OnDrift,
    name: String,
    is_trained: bool,
    learns: bool,
    identity: String,
}

/// What a label is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LabelKind {
    Number,
    Name,
    Flag,
}

impl ModelProvider for Thalweg {
    fn model(&self, definition: &ModelDefinition) -> Result<Arc<dyn Model>, SqlError> {
        let options = Options::new(definition);
        let file = options.text("path").map(|path| read(&options, path)).transpose()?;
        let prepare = algorithms::prepare(&options)?;
        let (built, learns) = match &file {
            Some(File { bytes, is_onnx: true }) => {
                (onnx(&options, prepare, bytes.clone(), &definition.outputs)?, false)
            }
            Some(File { bytes, is_onnx: false }) => {
                let json = std::str::from_utf8(bytes)
                    .map_err(|_| options.wrong("the file is no JSON: it is not text".to_owned()))?;
                (algorithms::build(&options, prepare, Some(json))?, true)
            }
            None => (algorithms::build(&options, prepare, None)?, true),
        };
        let bad = [("fail", BadRecordPolicy::Fail), ("null", BadRecordPolicy::Skip)];
        let bad = options.one_of("bad-records", &bad, BadRecordPolicy::Fail)?;
        let detectors = [("none", 0), ("adwin", 1), ("ddm", 2), ("page-hinkley", 3), ("kswin", 4)];
        let drift = match options.one_of("drift-detector", &detectors, 0)? {
            0 => None,
            1 => Some(Adwin::default().into()),
            2 => Some(Ddm::default().into()),
            3 => Some(PageHinkley::default().into()),
            _ => Some(Kswin::default().into()),
        };
        let resets = options.one_of("on-drift", &[("tell", false), ("reset", true)], false)?;
        let mut classes = Classes::default();
        if let (Built::Classes(_), Some(names)) = (&built, options.text("classes")) {
            classes = Classes::of(names.split(',').map(str::trim))
                .map_err(|error| options.wrong(error.to_string()))?;
        }
        options.finish()?;
        for column in &definition.inputs {
            let of = column.data_type.to_arrow();
            let is_alone = definition.inputs.len() == 1 || !matches!(of, DataType::List(_));
            if !is_feature(&of) || !is_alone {
                return Err(options
                    .wrong(format!("the input `{} {}` is no number", column.name, column.data_type))
                    .help("inputs are numbers and BOOLEAN, or one array of numbers; make numbers of texts before"));
            }
        }
        let says = definition.outputs.iter().map(|column| {
            let wrong = || {
                let can = match &built {
                    Built::Classes(_) => "integer, BOOLEAN, STRING, DOUBLE, ARRAY<DOUBLE>",
                    Built::Numbers(_) => "any type of numbers",
                    Built::Clusters(_) => "integer (the cluster), DOUBLE (how far its centre is)",
                    Built::Anomalies(_) => "DOUBLE",
                };
                let name = format!("the output `{} {}`", column.name, column.data_type);
                options.wrong(format!("{name} is not what this model says")).help(format!("it says: {can}"))
            };
            let says = Says::of(&column.data_type.to_arrow()).ok_or_else(wrong)?;
            let fits = match &built {
                Built::Classes(_) => true,
                Built::Numbers(_) | Built::Clusters(_) => matches!(says, Says::Number | Says::Value),
                Built::Anomalies(_) => says == Says::Value,
            };
            if fits { Ok(says) } else { Err(wrong()) }
        });
        let says = says.collect::<Result<Vec<_>, SqlError>>()?;
        if says.contains(&Says::Name) && !learns && classes.is_empty() {
            return Err(options.wrong("the option `classes` names the classes of an ONNX file".to_owned()));
        }
        let label = match &built {
            Built::Classes(_) => says.iter().find_map(|says| match says {
                Says::Name => Some(LabelKind::Name),
                Says::Number => Some(LabelKind::Number),
                Says::IsOne => Some(LabelKind::Flag),
                Says::Value | Says::Probabilities => None,
            }),
            Built::Numbers(_) => Some(LabelKind::Number),
            Built::Clusters(_) | Built::Anomalies(_) => None,
        };
        let digest = file.as_ref().map(|file| format!(" {:016x}", key_hash(&file.bytes))).unwrap_or_default();
        let algorithm = options.text("algorithm").unwrap_or("onnx");
        Ok(Arc::new(ThalwegModel {
            built,
            says,
            label,
            bad,
            classes,
            drift,
            on_drift: if resets { OnDrift::Reset } else { OnDrift::Tell },
            name: definition.path.table.clone(),
            is_trained: file.is_some(),
            learns,
            identity: format!("{algorithm}{digest}"),
        }))
    }
}

/// A file with a model.
struct File {
    bytes: Vec<u8>,
    is_onnx: bool,
}

fn read(options: &Options<'_>, path: &str) -> Result<File, SqlError> {
    let ends = Path::new(path).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
    let is_onnx = options.one_of("format", &[("json", false), ("onnx", true)], ends)?;
    // As connectors of files have it, too.
    let path = path.strip_prefix("file://").unwrap_or(path);
    let bytes = std::fs::read(path)
        .map_err(|error| options.wrong(format!("the model `{path}` cannot be read: {error}")))?;
    Ok(File { bytes, is_onnx })
}

#[cfg(feature = "onnx")]
fn onnx(
    options: &Options<'_>,
    prepare: crate::prepare::Prepare,
    bytes: Vec<u8>,
    outputs: &[thalweg_table::models::ModelColumn],
) -> Result<Built, SqlError> {
    use thalweg_ml::Pipeline;
    use thalweg_ml::onnx::{OnnxClassifier, OnnxRegressor};

    if !matches!(prepare.scaler, crate::prepare::Scaler::None) || prepare.imputer.is_some() {
        return Err(options.wrong(
            "a model of an ONNX file comes with what is before it: neither `scaler` nor `missing`".to_owned(),
        ));
    }
    // A number alone may be that of a regression; anything else is said of classes.
    let is_number =
        matches!(outputs, [column] if Says::of(&column.data_type.to_arrow()) == Some(Says::Value));
    let kinds = [("classification", true), ("regression", false)];
    let wrong = |error: thalweg_ml::onnx::OnnxError| options.wrong(error.to_string());
    Ok(if options.one_of("task", &kinds, !is_number)? {
        Built::Classes(Pipeline::new(prepare, OnnxClassifier::from_bytes(bytes).map_err(wrong)?.into()))
    } else {
        Built::Numbers(Pipeline::new(prepare, OnnxRegressor::from_bytes(bytes).map_err(wrong)?.into()))
    })
}

#[cfg(not(feature = "onnx"))]
fn onnx(
    options: &Options<'_>,
    _: crate::prepare::Prepare,
    _: Vec<u8>,
    _: &[thalweg_table::models::ModelColumn],
) -> Result<Built, SqlError> {
    Err(options.wrong("this program reads no ONNX files: it was built without the feature `onnx`".to_owned()))
}

impl ThalwegModel {
    fn rows(&self, call: &ModelCall) -> Rows {
        Rows { call: call.clone(), says: self.says.clone(), bad: self.bad, classes: self.classes.clone() }
    }

    fn learn_with<L: Scored>(
        &self,
        learner: &L,
        rows: &Stream<Chunk>,
        call: &ModelCall,
    ) -> Result<Stream<Chunk>, SqlError>
    where
        L::Prediction: Answer,
    {
        let mut settings = PrequentialSettings::new(learner.clone());
        (settings.drift, settings.on_drift) = (self.drift.clone(), self.on_drift.clone());
        // The rows' own columns come first.
        let own = call.schema.fields().len() - self.says.len() - 1;
        let schema = Arc::new(Schema::new(call.schema.fields()[..own].to_vec()));
        let learn = LearnRows::new(self.rows(call), settings, &schema)
            .map_err(|error| SqlError::new(error.to_string()))?;
        Ok(rows.apply("ml-learn", learn))
    }
}

impl Model for ThalwegModel {
    fn check(&self, call: &ModelCall, learns: bool) -> Result<(), SqlError> {
        let name = &self.name;
        if let Some(key) = call.config.keys().next() {
            return Err(SqlError::new(format!(
                "the configuration `{key}` means nothing to the model `{name}`"
            ))
            .help("its options are those of CREATE MODEL"));
        }
        if !learns {
            return match self.is_trained {
                true => Ok(()),
                false => Err(SqlError::new(format!(
                    "the model `{name}` has learnt nothing that it could predict by"
                ))
                .help("give CREATE MODEL the `path` of a model, or predict and learn in one by ML_LEARN")),
            };
        }
        if !self.learns {
            return Err(SqlError::new(format!("the model `{name}` is of an ONNX file, and learns nothing")));
        }
        match (self.label, call.label) {
            (None, None) => Ok(()),
            (None, Some(_)) if !matches!(self.built, Built::Classes(_)) => Err(SqlError::new(format!(
                "the model `{name}` learns without labels; leave the last DESCRIPTOR out"
            ))),
            (_, None) => {
                Err(SqlError::new(format!("the model `{name}` learns labels: DESCRIPTOR(label) says which")))
            }
            (wanted, Some(label)) => {
                let field = call.schema.field(label);
                let found = match field.data_type() {
                    DataType::Utf8 => LabelKind::Name,
                    DataType::Boolean => LabelKind::Flag,
                    other if other.is_integer() => LabelKind::Number,
                    other if other.is_numeric() && matches!(self.built, Built::Numbers(_)) => {
                        LabelKind::Number
                    }
                    _ => {
                        return Err(SqlError::new(format!(
                            "the label `{}` is of a type that no model learns",
                            field.name()
                        )));
                    }
                };
                match wanted.is_none_or(|wanted| wanted == found) {
                    true => Ok(()),
                    false => Err(SqlError::new(format!(
                        "the label `{}` is of another type than the model's output",
                        field.name()
                    ))
                    .help("both are names (STRING), both numbers, or both BOOLEAN")),
                }
            }
        }
    }

    fn predict(&self, rows: &Stream<Chunk>, call: &ModelCall) -> Result<Stream<Chunk>, SqlError> {
        let of = self.rows(call);
        Ok(match &self.built {
            Built::Classes(model) => rows.apply("ml-predict", PredictRows::new(of, model.clone())),
            Built::Numbers(model) => rows.apply("ml-predict", PredictRows::new(of, model.clone())),
            Built::Clusters(model) => rows.apply("ml-predict", PredictRows::new(of, model.clone())),
            Built::Anomalies(model) => rows.apply("ml-predict", PredictRows::new(of, model.clone())),
        })
    }

    fn learn(&self, rows: &Stream<Chunk>, call: &ModelCall) -> Result<Stream<Chunk>, SqlError> {
        match &self.built {
            Built::Classes(model) => self.learn_with(model, rows, call),
            Built::Numbers(model) => self.learn_with(model, rows, call),
            Built::Clusters(model) => self.learn_with(model, rows, call),
            Built::Anomalies(model) => self.learn_with(model, rows, call),
        }
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }
}
