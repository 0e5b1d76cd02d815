//! What `sqlparser` is to take of queries and expressions.

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    SetExpr, TableFactor,
};
use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{forms, json_forms};

/// Flink's dialect.
#[derive(Debug)]
pub(super) struct FlinkDialect;

impl Dialect for FlinkDialect {
    fn is_delimited_identifier_start(&self, letter: char) -> bool {
        letter == '`'
    }

    fn identifier_quote_style(&self, _: &str) -> Option<char> {
        Some('`')
    }

    fn is_identifier_start(&self, letter: char) -> bool {
        letter.is_alphabetic() || letter == '_' || letter == '$'
    }

    fn is_identifier_part(&self, letter: char) -> bool {
        letter.is_alphanumeric() || letter == '_' || letter == '$'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_match_recognize(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        true
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn supports_numeric_prefix(&self) -> bool {
        false
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_boolean_literals(&self) -> bool {
        true
    }

    fn is_reserved_for_identifier(&self, word: Keyword) -> bool {
        // Words that are columns often enough, and begin nothing where an expression is due.
        !matches!(word, Keyword::USER | Keyword::CURRENT | Keyword::SESSION)
            && sqlparser::keywords::RESERVED_FOR_IDENTIFIER.contains(&word)
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let word = match &parser.peek_token_ref().token {
            Token::Word(word) if word.quote_style.is_none() => word.clone(),
            // `1e3` is a floating point number; `1000.0` is a decimal.
            Token::Number(number, _) if number.contains(['e', 'E']) && !number.starts_with("0x") => {
                return Some(forms::floating(parser));
            }
            _ => return None,
        };
        let next = parser.peek_nth_token(1).token;
        match (word.keyword, next) {
            // `TABLE t`, not a column of that name.
            (Keyword::TABLE, Token::Word(_)) => Some(table_argument(parser)),
            (Keyword::CAST, Token::LParen) => Some(forms::cast(parser, "$cast")),
            (Keyword::TRY_CAST, Token::LParen) => Some(forms::cast(parser, "$try_cast")),
            (Keyword::DATE | Keyword::TIME | Keyword::TIMESTAMP, Token::SingleQuotedString(_)) => {
                Some(forms::time_literal(parser))
            }
            (Keyword::INTERVAL, Token::SingleQuotedString(_) | Token::Minus) => forms::interval(parser),
            (Keyword::LOCALTIME | Keyword::CURRENT_TIME, next)
                if !matches!(next, Token::LParen | Token::Period) =>
            {
                parser.next_token();
                Some(Ok(forms::function(&word.value.to_uppercase(), Vec::new())))
            }
            (Keyword::TRIM, Token::LParen) => forms::trim(parser),
            (Keyword::MAP, Token::LBracket) => Some(forms::map(parser)),
            (_, Token::LParen) => json_forms::prefix(parser, &word.value),
            _ => None,
        }
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        expr: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        forms::infix(parser, expr, precedence)
    }
}

/// `TABLE t [PARTITION BY a, b]`, or `… BY (a, b)`, as a call.
fn table_argument(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    parser.next_token();
    let name = parser.parse_object_name(false)?;
    let mut query =
        Parser::new(&FlinkDialect).try_with_sql(&format!("SELECT * FROM {name}"))?.parse_query()?;
    // With the place that it has in the script.
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(TableFactor::Table { name: of, .. }) =
            select.from.first_mut().map(|from| &mut from.relation)
    {
        *of = name;
    }
    let mut arguments = vec![Expr::Subquery(query)];
    if parser.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        if parser.consume_token(&Token::LParen) {
            let columns = parser.parse_comma_separated(Parser::parse_identifier)?;
            arguments.extend(columns.into_iter().map(Expr::Identifier));
            parser.expect_token(&Token::RParen)?;
        } else {
            // A comma is followed by a column, or by the next argument, which is a call.
            loop {
                arguments.push(Expr::Identifier(parser.parse_identifier()?));
                let is_column = matches!(parser.peek_nth_token(1).token, Token::Word(_))
                    && !matches!(parser.peek_nth_token(2).token, Token::LParen | Token::RArrow);
                if parser.peek_token_ref().token != Token::Comma || !is_column {
                    break;
                }
                parser.next_token();
            }
        }
    }
    Ok(Expr::Function(call(Ident::with_quote('`', "$table"), arguments)))
}

/// A call of a function, as it is in a syntax tree.
pub(crate) fn call(name: Ident, arguments: Vec<Expr>) -> Function {
    let args =
        arguments.into_iter().map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).collect();
    Function {
        name: ObjectName::from(vec![name]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }
}
