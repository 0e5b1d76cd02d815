//! Models: what `CREATE MODEL` makes, `ML_PREDICT` asks and `ML_LEARN` trains. Who runs them is a *provider*, which is registered by name, as
//! connectors are; this crate knows none.
//!
//! ```sql
//! CREATE MODEL fraud INPUT (amount DOUBLE, country INT) OUTPUT (is_fraud BOOLEAN, confidence DOUBLE) WITH ('provider' = '…', …);
//! SELECT * FROM ML_PREDICT(TABLE payments, MODEL fraud, DESCRIPTOR(amount, country));
//! SELECT * FROM ML_LEARN(TABLE payments PARTITION BY shop, MODEL fraud, DESCRIPTOR(amount, country), DESCRIPTOR(was_fraud));
//! ```
//!
//! - `ML_PREDICT(TABLE t, MODEL m, DESCRIPTOR(x, …) [, MAP['key', 'value', …]])` gives the columns of `t` and those of the model's `OUTPUT`, a row
//!   for each row. By name: `INPUT =>`, `MODEL =>`, `ARGS =>`, `CONFIG =>`. Rows that are taken back are refused, as in Flink.
//! - `ML_LEARN(TABLE t [PARTITION BY k, …], MODEL m, DESCRIPTOR(x, …), DESCRIPTOR(label) [, MAP[…]])` gives the columns of `t`, those of the model's
//!   `OUTPUT` as the model says *before* it has learnt the row, and `model_version`, the number of rows that it had learnt by then. A row whose label
//!   is NULL is predicted and not learnt. Models that learn without labels take none. With `PARTITION BY` each key has a model of its own;
//!   without, there is one, in one subtask. By name the label is `LABEL =>`.
//! - A column of `OUTPUT` that has the name of a column of `t` gets a number behind it: `label0`.
//!
//! Models are not part of `SHOW TABLES`; `SHOW MODELS`, `SHOW CREATE MODEL`, `DESCRIBE MODEL`, `ALTER MODEL` and `DROP MODEL` are about them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use thalweg_dataflow::graph::Stream;

use crate::catalog::{Catalog, TablePath, nearest};
use crate::chunk::Chunk;
use crate::error::{Span, SqlError};
use crate::parser::{AlterModel, AlterModelAction, ColumnDef, ColumnKind, CreateModel, Name};
use crate::tableau::tableau;
use crate::types::LogicalType;

/// A column of a model's input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: LogicalType,
}

/// A model as it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDefinition {
    /// Its name.
    pub path: TablePath,
    /// What it predicts from.
    pub inputs: Vec<ModelColumn>,
    /// What it predicts.
    pub outputs: Vec<ModelColumn>,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// `WITH (…)`.
    pub options: BTreeMap<String, String>,
    /// Where its options stand.
    pub options_at: Option<Span>,
}

impl ModelDefinition {
    /// That an option is wrong; at the options.
    pub fn wrong(&self, message: impl Into<String>) -> SqlError {
        let error = SqlError::new(message);
        match &self.options_at {
            Some(span) => error.or_at(span),
            None => error,
        }
    }

    /// Refuses options that are not among `known`: they are misspelt, or not there yet. `provider` is known.
    ///
    /// # Errors
    /// With the nearest that is known.
    pub fn only(&self, known: &[&str]) -> Result<(), SqlError> {
        let is_known = |key: &&String| *key == "provider" || known.contains(&key.as_str());
        let Some(key) = self.options.keys().find(|key| !is_known(key)) else { return Ok(()) };
        let error = self.wrong(format!("this model has no option `{key}`"));
        Err(match nearest(key, known.iter().copied()) {
            Some(name) => error.help(format!("did you mean `{name}`?")),
            None => error.help(format!("options are: {}", known.join(", "))),
        })
    }

    /// The statement that makes it.
    fn statement(&self) -> String {
        let columns = |of: &[ModelColumn]| {
            of.iter().map(|c| format!("`{}` {}", c.name, c.data_type)).collect::<Vec<_>>().join(", ")
        };
        let quoted = |text: &str| text.replace('\'', "''");
        let TablePath { catalog, database, table } = &self.path;
        let mut text = format!(
            "CREATE MODEL `{catalog}`.`{database}`.`{table}`\nINPUT ({})\nOUTPUT ({})\n",
            columns(&self.inputs),
            columns(&self.outputs)
        );
        if let Some(comment) = &self.comment {
            // To a string nothing fails to be written.
            let _ = writeln!(text, "COMMENT '{}'", quoted(comment));
        }
        let options = self.options.iter().map(|(k, v)| format!("  '{}' = '{}'", quoted(k), quoted(v)));
        let _ = write!(text, "WITH (\n{}\n)", options.collect::<Vec<_>>().join(",\n"));
        text
    }
}

/// A call of a function of models: which columns of the rows go where.
#[derive(Clone, Debug)]
pub struct ModelCall {
    /// The columns of the rows that are the model's inputs, in its order.
    pub arguments: Vec<usize>,
    /// The column that is learnt, where one is.
    pub label: Option<usize>,
    /// The columns whose values each have a model of their own.
    pub key: Vec<usize>,
    /// The columns that come out: those of the rows, those of the model's output, and with learning the version of the model.
    pub schema: SchemaRef,
    /// `MAP[…]`.
    pub config: BTreeMap<String, String>,
}

/// A model that can be asked.
pub trait Model: Send + Sync {
    /// Looks at a call before anything runs.
    ///
    /// # Errors
    /// If it cannot be made.
    fn check(&self, call: &ModelCall, learns: bool) -> Result<(), SqlError>;

    /// Adds an operator behind `rows` that predicts each row. It keeps no state.
    ///
    /// # Errors
    /// If it cannot be made.
    fn predict(&self, rows: &Stream<Chunk>, call: &ModelCall) -> Result<Stream<Chunk>, SqlError>;

    /// Adds an operator behind `rows` that predicts each row, then learns it. Rows are divided by the key of the call; what is learnt is keyed state.
    ///
    /// # Errors
    /// If it cannot be made, or the model does not learn.
    fn learn(&self, rows: &Stream<Chunk>, call: &ModelCall) -> Result<Stream<Chunk>, SqlError>;

    /// What tells it from other models, such as a digest of its file: state that was learnt from one is not taken for that of another.
    fn identity(&self) -> String;
}

/// Makes models of what was declared.
pub trait ModelProvider: Send + Sync {
    /// The model.
    ///
    /// # Errors
    /// If an option is wrong, or a file cannot be read.
    fn model(&self, definition: &ModelDefinition) -> Result<Arc<dyn Model>, SqlError>;
}

/// The providers that there are, by name.
#[derive(Clone, Default)]
pub struct ModelProviders(BTreeMap<String, Arc<dyn ModelProvider>>);

impl ModelProviders {
    /// Adds a provider, in place of one of the same name.
    pub fn register(&mut self, name: &str, provider: Arc<dyn ModelProvider>) {
        self.0.insert(name.to_owned(), provider);
    }

    fn make(&self, definition: ModelDefinition) -> Result<DeclaredModel, SqlError> {
        let Some(name) = definition.options.get("provider") else {
            return Err(definition.wrong("a model has the option `provider`"));
        };
        let Some(provider) = self.0.get(name) else {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let error = definition.wrong(format!("there is no model provider `{name}`"));
            return Err(match (nearest(name, known.iter().copied()), known.is_empty()) {
                (Some(near), _) => error.help(format!("did you mean `{near}`?")),
                (None, true) => error
                    .help("this program was built without any: build with the feature `ml`, or register one"),
                (None, false) => error.help(format!("there are: {}", known.join(", "))),
            });
        };
        let model = provider.model(&definition)?;
        Ok(DeclaredModel { definition, model })
    }
}

/// A model of the catalog.
#[derive(Clone)]
pub struct DeclaredModel {
    /// As it was declared.
    pub definition: ModelDefinition,
    /// What runs it.
    pub model: Arc<dyn Model>,
}

impl std::fmt::Debug for DeclaredModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.definition.fmt(f)
    }
}

impl DeclaredModel {
    /// Its columns (`DESCRIBE MODEL`).
    fn describe(&self) -> String {
        let row = |column: &ModelColumn, is_input| {
            let (name, nullable) =
                (column.name.clone(), column.data_type.nullable.to_string().to_uppercase());
            let side = if is_input { "INPUT" } else { "OUTPUT" };
            vec![name, column.data_type.to_string(), nullable, side.to_owned()]
        };
        let inputs = self.definition.inputs.iter().map(|column| row(column, true));
        let rows: Vec<Vec<String>> =
            inputs.chain(self.definition.outputs.iter().map(|column| row(column, false))).collect();
        tableau(&["name", "type", "null", "of"], &rows)
    }
}

/// The models of a catalog.
pub(crate) type Models = BTreeMap<TablePath, Arc<DeclaredModel>>;

fn columns_of(columns: &[ColumnDef]) -> Result<Vec<ModelColumn>, SqlError> {
    let mut out: Vec<ModelColumn> = Vec::with_capacity(columns.len());
    for ColumnDef { name, kind, .. } in columns {
        let ColumnKind::Physical(data_type) = kind else { continue };
        if out.iter().any(|known| known.name == name.value) {
            return Err(SqlError::at(name.span.clone(), format!("there are two columns `{}`", name.value)));
        }
        out.push(ModelColumn { name: name.value.clone(), data_type: data_type.clone() });
    }
    Ok(out)
}

/// The path of the model of this name.
///
/// # Errors
/// If there is none; with the nearest there is.
pub(crate) fn find(catalog: &Catalog, name: &Name) -> Result<(TablePath, Arc<DeclaredModel>), SqlError> {
    let path = catalog.path_of(name);
    if let Some(model) = catalog.models.get(&path) {
        return Ok((path, model.clone()));
    }
    let error = missing(catalog, &path);
    Err(match (name.0.first(), name.0.last()) {
        (Some(first), Some(last)) => error.or_at(&(first.span.start..last.span.end)),
        _ => error,
    })
}

/// That there is no model of that name.
pub(crate) fn missing(catalog: &Catalog, path: &TablePath) -> SqlError {
    let error = SqlError::new(format!("there is no model `{}`", path.table));
    let here = catalog.models.keys().filter(|known| known.database == path.database);
    match nearest(&path.table, here.map(|known| known.table.as_str())) {
        Some(name) => error.help(format!("did you mean `{name}`?")),
        None => error,
    }
}

/// `CREATE MODEL`.
pub(crate) fn create(
    catalog: &mut Catalog,
    providers: &ModelProviders,
    create: &CreateModel,
) -> Result<(), SqlError> {
    let path = catalog.path_of(&create.name);
    if catalog.models.contains_key(&path) {
        let error = SqlError::new(format!("there is a model `{}` already", path.table));
        return if create.if_not_exists { Ok(()) } else { Err(error) };
    }
    let at = create.options.0.first().zip(create.options.0.last());
    let definition = ModelDefinition {
        path: path.clone(),
        inputs: columns_of(&create.inputs)?,
        outputs: columns_of(&create.outputs)?,
        comment: create.comment.clone(),
        options: create
            .options
            .0
            .iter()
            .map(|(key, value)| (key.value.clone(), value.value.clone()))
            .collect(),
        options_at: at.map(|((first, _), (_, last))| first.span.start..last.span.end),
    };
    catalog.models.insert(path, Arc::new(providers.make(definition)?));
    Ok(())
}

/// `ALTER MODEL`. What cannot be made of the new options is refused, and the model stays as it was.
pub(crate) fn alter(
    catalog: &mut Catalog,
    providers: &ModelProviders,
    alter: &AlterModel,
) -> Result<(), SqlError> {
    let (path, model) = match find(catalog, &alter.name) {
        Ok(found) => found,
        Err(_) if alter.if_exists => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut definition = model.definition.clone();
    match &alter.action {
        AlterModelAction::Rename(name) => {
            definition.path = catalog.path_of(name);
            if catalog.models.contains_key(&definition.path) {
                let name = &definition.path.table;
                return Err(SqlError::new(format!("there is a model `{name}` already")));
            }
        }
        AlterModelAction::Set(options) => {
            definition.options_at = None;
            let options = options.0.iter().map(|(key, value)| (key.value.clone(), value.value.clone()));
            definition.options.extend(options);
        }
        AlterModelAction::Reset(keys) => {
            definition.options_at = None;
            definition.options.retain(|key, _| !keys.iter().any(|reset| reset.value == *key));
        }
    }
    let altered = providers.make(definition)?;
    catalog.models.remove(&path);
    catalog.models.insert(altered.definition.path.clone(), Arc::new(altered));
    Ok(())
}

/// `DESCRIBE MODEL`.
pub(crate) fn describe(catalog: &Catalog, name: &Name) -> Result<String, SqlError> {
    Ok(find(catalog, name)?.1.describe())
}

/// `SHOW CREATE MODEL`.
pub(crate) fn show_create(catalog: &Catalog, name: &Name) -> Result<String, SqlError> {
    Ok(find(catalog, name)?.1.definition.statement())
}

/// The names of the models of a database (`SHOW MODELS`).
pub(crate) fn names(catalog: &Catalog, of: &str, database: &str) -> Vec<String> {
    let here = catalog.models.keys().filter(|path| path.catalog == of && path.database == database);
    here.map(|path| path.table.clone()).collect()
}
