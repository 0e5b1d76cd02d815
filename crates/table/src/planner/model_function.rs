//! `ML_PREDICT` and `ML_LEARN` in `FROM`: a model over the rows of a table.
//!
//! Before: a call, in which `MODEL m` is `"$model"(m)`. After: a node that adds the columns of the model's output to those of its input.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field};
use datafusion_common::{DFSchema, DFSchemaRef, DataFusionError, Result, ScalarValue, plan_err};
use datafusion_expr::planner::RelationPlannerContext;
use datafusion_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use sqlparser::ast::{self, TableFactor};

use super::constant;
use super::window_function::{Arguments, call_of as call};
use crate::catalog::Catalog;
use crate::models::{self, DeclaredModel};

/// What comes out behind the columns of a model that learns.
const VERSION: &str = "model_version";

/// A model over its input.
#[derive(Clone, Debug)]
pub(crate) struct ModelFunction {
    pub(crate) input: LogicalPlan,
    pub(crate) model: Arc<DeclaredModel>,
    pub(crate) learns: bool,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) arguments: Vec<Expr>,
    pub(crate) label: Option<Expr>,
    pub(crate) partition: Vec<Expr>,
    pub(crate) schema: DFSchemaRef,
}

/// Whether a call is of a function of models.
pub(super) fn is_model_function(call: &ast::Function) -> bool {
    is_name(&call.name)
}

/// Whether this is the name of a function of models.
pub(super) fn is_name(name: &ast::ObjectName) -> bool {
    matches!(name.to_string().to_uppercase().as_str(), "ML_PREDICT" | "ML_LEARN")
}

/// The call that a table with arguments is.
pub(super) fn call_of(name: ast::ObjectName, args: ast::TableFunctionArgs) -> ast::Function {
    let mut call = crate::parser::call(ast::Ident::new(""), Vec::new());
    call.name = name;
    call.args = ast::FunctionArguments::List(ast::FunctionArgumentList {
        duplicate_treatment: None,
        args: args.args,
        clauses: Vec::new(),
    });
    call
}

/// Plans a call in `FROM`.
pub(super) fn plan(
    function: &ast::Function,
    catalog: &Catalog,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let arguments = Arguments::of(function)?;
    let name = arguments.name.clone();
    let learns = name == "ML_LEARN";
    let (query, partition) = match call(arguments.require("INPUT", 0)?) {
        Some((table, mut values)) if table == "$TABLE" && !values.is_empty() => (values.remove(0), values),
        _ => (arguments.require("INPUT", 0)?, Vec::new()),
    };
    let ast::Expr::Subquery(query) = query else {
        return plan_err!("the first argument of `{name}` is a table: `TABLE t`");
    };
    let model = match call(arguments.require("MODEL", 1)?) {
        Some((model, parts)) if model == "$MODEL" && parts.len() == 1 => model_of(catalog, parts[0])?,
        _ => return plan_err!("the second argument of `{name}` is a model: `MODEL m`"),
    };
    if !partition.is_empty() && !learns {
        return plan_err!("`{name}` predicts row by row; PARTITION BY is for ML_LEARN, a model for each key");
    }
    let subquery = query.clone();
    let input = context.plan(TableFactor::Derived { lateral: false, subquery, alias: None, sample: None })?;
    let mut column = |expression: &ast::Expr| context.sql_to_expr(expression.clone(), input.schema());
    let features = match call(arguments.require("ARGS", 2)?) {
        Some((descriptor, columns)) if descriptor == "DESCRIPTOR" => {
            columns.into_iter().map(&mut column).collect::<Result<Vec<_>>>()?
        }
        _ => {
            return plan_err!(
                "the third argument of `{name}` is `DESCRIPTOR(column, …)`: what is predicted from"
            );
        }
    };
    let partition = partition.into_iter().map(&mut column).collect::<Result<Vec<_>>>()?;
    // A label is a descriptor too; so the config of a call without one comes at its place.
    let label = arguments.get("LABEL", 3).filter(|_| learns);
    let label = match label.and_then(call) {
        Some((descriptor, columns)) if descriptor == "DESCRIPTOR" => match columns[..] {
            [label] => Some(column(label)?),
            _ => return plan_err!("the label of `{name}` is one column: `DESCRIPTOR(label)`"),
        },
        _ => None,
    };
    let place = 3 + usize::from(label.is_some());
    let config = match arguments.get("CONFIG", place) {
        None => BTreeMap::new(),
        Some(value) => {
            let value = context.sql_to_expr(value.clone(), &DFSchema::empty())?;
            config_of(&name, &constant(&value)?)?
        }
    };
    if let Some(extra) = arguments.arguments.get(place + 1) {
        return plan_err!("`{name}` has no argument `{}`", extra.1);
    }
    let wanted = model.definition.inputs.len();
    if features.len() != wanted {
        return plan_err!(
            "the model `{}` predicts from {wanted} columns, and DESCRIPTOR names {}",
            model.definition.path.table,
            features.len()
        );
    }
    let schema = schema_of(&input, &model, learns)?;
    let node = ModelFunction { input, model, learns, config, arguments: features, label, partition, schema };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

fn model_of(catalog: &Catalog, name: &ast::Expr) -> Result<Arc<DeclaredModel>> {
    let parts: Vec<&str> = match name {
        ast::Expr::Identifier(name) => vec![&name.value],
        ast::Expr::CompoundIdentifier(parts) => parts.iter().map(|part| part.value.as_str()).collect(),
        other => return plan_err!("`{other}` is no name of a model"),
    };
    let path = catalog.path(&parts);
    match catalog.models.get(&path) {
        Some(model) => Ok(model.clone()),
        None => Err(DataFusionError::from(models::missing(catalog, &path))),
    }
}

/// `MAP['key', 'value', …]`.
fn config_of(name: &str, value: &ScalarValue) -> Result<BTreeMap<String, String>> {
    let ScalarValue::Map(map) = value else {
        return plan_err!("the last argument of `{name}` is a map of texts: `MAP['key', 'value']`");
    };
    let text = |values: &arrow::array::ArrayRef| arrow::compute::cast(values, &DataType::Utf8);
    let (keys, values) = (text(map.keys())?, text(map.values())?);
    let (keys, values) = (keys.as_string::<i32>(), values.as_string::<i32>());
    let entries = (0..keys.len()).filter(|at| keys.is_valid(*at) && values.is_valid(*at));
    Ok(entries.map(|at| (keys.value(at).to_owned(), values.value(at).to_owned())).collect())
}

/// The columns of the input, without the name of a table, and those of the model's output.
fn schema_of(input: &LogicalPlan, model: &DeclaredModel, learns: bool) -> Result<DFSchemaRef> {
    let mut fields: Vec<Field> = input.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    let outputs = model.definition.outputs.iter();
    let mut added: Vec<(&str, DataType)> =
        outputs.map(|column| (column.name.as_str(), column.data_type.to_arrow())).collect();
    if learns {
        added.push((VERSION, DataType::Int64));
    }
    for (name, data_type) in added {
        let is_there = |name: &str| fields.iter().any(|field| field.name() == name);
        // As in Flink: a name that is there already gets a number.
        let name = match is_there(name) {
            false => name.to_owned(),
            true => (0..).map(|n| format!("{name}{n}")).find(|name| !is_there(name)).unwrap_or_default(),
        };
        fields.push(Field::new(name, data_type, true));
    }
    Ok(Arc::new(DFSchema::from_unqualified_fields(fields.into(), std::collections::HashMap::new())?))
}

impl ModelFunction {
    fn key(&self) -> (&models::ModelDefinition, bool, &BTreeMap<String, String>, &LogicalPlan, Vec<Expr>) {
        (&self.model.definition, self.learns, &self.config, &self.input, self.expressions())
    }
}

impl PartialEq for ModelFunction {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key() && self.label.is_some() == other.label.is_some()
    }
}

impl Eq for ModelFunction {}

impl std::hash::Hash for ModelFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.model.definition.path.hash(state);
        self.input.hash(state);
        self.expressions().hash(state);
    }
}

impl PartialOrd for ModelFunction {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.model.definition.path.partial_cmp(&other.model.definition.path)
    }
}

impl UserDefinedLogicalNodeCore for ModelFunction {
    fn name(&self) -> &str {
        "ModelFunction"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.arguments.iter().chain(&self.label).chain(&self.partition).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let function = if self.learns { "ML_LEARN" } else { "ML_PREDICT" };
        write!(f, "ModelFunction: {function} of {}", self.model.definition.path)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = inputs.remove(0);
        let schema = schema_of(&input, &self.model, self.learns)?;
        let mut exprs = exprs.into_iter();
        let arguments = exprs.by_ref().take(self.arguments.len()).collect();
        let label = self.label.as_ref().and_then(|_| exprs.next());
        let (model, learns, config) = (self.model.clone(), self.learns, self.config.clone());
        Ok(Self { input, model, learns, config, arguments, label, partition: exprs.collect(), schema })
    }
}
