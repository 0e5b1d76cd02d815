//! `thalweg sql`: a shell for SQL.

mod complete;
mod jobs;
mod results;

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use anyhow::Context as _;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use thalweg::dataflow::runtime::JobHandle;
use thalweg_table::environment::{Outcome, TableEnvironment};
use thalweg_table::error::SqlError;
use thalweg_table::parser::{Show, Statement, StatementKind, parse_script};

use self::complete::Names;
use self::jobs::Jobs;
use crate::inside::Inside;
use crate::interrupt::Interrupt;
use crate::job_config::{Given, config, set};

/// A shell for SQL in Flink's dialect, with its own broker: no cluster is needed.
///
/// Statements end with `;`. A SELECT is shown as it changes, until it ends or Ctrl-C is pressed; an INSERT runs in the background: SHOW
/// JOBS, STOP JOB 'id'. SET 'sql-client.execution.result-mode' = 'table' | 'changelog' | 'tableau' says how results are shown.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Run the statements of this file, then end when its jobs do
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Run the statements of this file, then begin
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    init: Option<PathBuf>,
    /// A setting, as `SET` sets it
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The folder of the broker inside and of the history. Default: `.thalweg` in the home folder, or memory where there is none
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The number of subtasks of each operator; as many as there are cores unless it is given
    #[arg(long, value_name = "N")]
    parallelism: Option<usize>,
}

const EXAMPLES: &str = "Examples:\n  \
    thalweg sql\n  \
    thalweg sql -f script.sql\n  \
    echo \"SELECT 'hello';\" | thalweg sql";

const HELP: &str = "Statements end with `;` and may go over several lines.
  SELECT …             shows a result as it changes; Ctrl-C stops it
  INSERT INTO …        runs in the background
  SHOW JOBS            jobs of this shell; STOP JOB 'id' [WITH SAVEPOINT] [WITH DRAIN] stops one
  SHOW TABLES, DESCRIBE t, EXPLAIN …, SET, RESET, …
  SET 'sql-client.execution.result-mode' = 'table' | 'changelog' | 'tableau'
  SET 'table.dml-sync' = 'true'    an INSERT is waited for
  CLEAR, HELP, QUIT";

/// What is typed, and what came of it.
struct Shell {
    environment: TableEnvironment,
    jobs: Jobs,
    given: Given,
    interrupt: Interrupt,
    /// Whether somebody sits before it.
    interactive: bool,
    started: usize,
    queries: usize,
    data: Option<PathBuf>,
    _inside: Inside,
}

/// Whether to go on.
enum Then {
    Continue,
    Quit,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let data = args.data.clone().or_else(|| std::env::home_dir().map(|home| home.join(".thalweg")));
    let mut environment = TableEnvironment::new();
    let inside = Inside::or_in_memory(data.as_ref().map(|data| data.join("broker")));
    inside.register(&mut environment);
    #[cfg(feature = "ml")]
    thalweg_ml_table::register(&mut environment);
    set(&mut environment, &args.set)?;
    let interactive = args.file.is_none() && std::io::stdin().is_terminal();
    let mut shell = Shell {
        environment,
        jobs: Jobs::default(),
        given: Given { parallelism: args.parallelism, ..Given::default() },
        interrupt: Interrupt::listen_patiently()?,
        interactive,
        started: 0,
        queries: 0,
        data: data.clone(),
        _inside: inside,
    };
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    if let Some(file) = &args.init {
        shell.script(&read(file)?)?;
    }
    match (&args.file, interactive) {
        (Some(file), _) => shell.script(&read(file)?)?,
        (None, false) => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the standard input")?;
            shell.script(&text)?;
        }
        (None, true) => return shell.talk(data),
    }
    shell.jobs.wait(&shell.interrupt)
}

impl Shell {
    /// All statements of a text; the first error ends it.
    fn script(&mut self, text: &str) -> anyhow::Result<()> {
        for statement in parse_script(text).map_err(|error| anyhow::anyhow!("{}", error.render(text)))? {
            self.statement(&statement, text)?;
            if !self.interactive && self.interrupt.is_set() {
                break;
            }
        }
        Ok(())
    }

    /// Reads statements from the terminal, and runs them, until somebody has enough.
    fn talk(mut self, data: Option<PathBuf>) -> anyhow::Result<()> {
        let config = Config::builder().completion_type(CompletionType::List).build();
        let mut editor: Editor<Names, FileHistory> = Editor::with_config(config)?;
        editor.set_helper(Some(Names::default()));
        let history = data.map(|data| data.join("history"));
        if let Some(history) = &history {
            let _ = history.parent().map(std::fs::create_dir_all);
            // There may be none yet.
            let _ = editor.load_history(history);
        }
        println!("Thalweg {}. Statements end with `;`. HELP; QUIT;", env!("CARGO_PKG_VERSION"));
        loop {
            if let Some(names) = editor.helper_mut() {
                names.set(self.environment.known_names());
            }
            let line = match editor.readline("thalweg> ") {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(error.into()),
            };
            if line.trim().is_empty() {
                continue;
            }
            editor.add_history_entry(line.trim())?;
            if let Some(history) = &history {
                // What cannot be kept is not missed now.
                let _ = editor.save_history(history);
            }
            self.interrupt.reset();
            match self.line(&line) {
                Ok(Then::Continue) => {}
                Ok(Then::Quit) => break,
                Err(error) => eprintln!("error: {error}"),
            }
            self.jobs.tell_of_failures();
        }
        self.jobs.cancel();
        Ok(())
    }

    fn line(&mut self, line: &str) -> anyhow::Result<Then> {
        match line.trim().trim_end_matches(';').trim().to_uppercase().as_str() {
            "QUIT" | "EXIT" => return Ok(Then::Quit),
            "HELP" => println!("{HELP}"),
            "CLEAR" => print!("\x1b[2J\x1b[H"),
            _ => self.script(line)?,
        }
        Ok(Then::Continue)
    }

    fn statement(&mut self, statement: &Statement, text: &str) -> anyhow::Result<()> {
        let told = |error: SqlError| anyhow::anyhow!("{}", error.or_at(&statement.span).render(text));
        match &statement.kind {
            StatementKind::Show(Show::Jobs) => {
                println!("{}", self.jobs.table());
                return Ok(());
            }
            StatementKind::StopJob(stop) => {
                let settings = self.environment.settings();
                let folder = settings
                    .get("execution.checkpointing.savepoint-dir")
                    .or(settings.get("state.savepoints.dir"))
                    .map(|folder| PathBuf::from(folder.trim_start_matches("file://")));
                println!("{}", self.jobs.stop(stop, folder)?);
                return Ok(());
            }
            _ => {}
        }
        match self.environment.execute(statement).map_err(told)? {
            Outcome::Done if self.interactive => println!("[INFO] Execute statement succeeded."),
            Outcome::Done => {}
            Outcome::Text(shown) => println!("{}", shown.trim_end()),
            Outcome::Job(planned) => {
                let (id, name) = self.next_job(&text[statement.span.clone()]);
                let config = self.config(&id)?;
                let job: JobHandle = planned.build(config).map_err(told)?.start()?;
                let sync = self.environment.settings().get("table.dml-sync");
                if sync.is_some_and(|sync| sync.eq_ignore_ascii_case("true")) {
                    return jobs::wait_for(job, &self.interrupt);
                }
                if self.interactive {
                    println!("[INFO] Job `{id}` runs in the background.");
                }
                self.jobs.add(id, name, job);
            }
            Outcome::Query(query) => {
                self.queries += 1;
                let config = self.config(&format!("query-{}", self.queries))?;
                let result = self.environment.execute_query(&query.to_string(), config).map_err(told)?;
                let mode = self.environment.settings().get("sql-client.execution.result-mode");
                let mode = results::Mode::of(mode, self.interactive)?;
                results::show(result, mode, &self.interrupt)?;
            }
        }
        Ok(())
    }

    fn next_job(&mut self, text: &str) -> (String, String) {
        self.started += 1;
        let name = text.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        (format!("job-{}", self.started), name)
    }

    fn config(&mut self, id: &str) -> anyhow::Result<thalweg::dataflow::runtime::JobConfig> {
        let settings = self.environment.settings();
        let mut given = self.given.clone();
        // Somebody who wants checkpoints need not say where.
        let wanted = settings.get("execution.checkpointing.interval").is_some();
        let placed = settings.get("execution.checkpointing.dir").or(settings.get("state.checkpoints.dir"));
        if let (true, None, Some(data)) = (wanted, placed, &self.data) {
            given.checkpoint_dir = Some(data.join("checkpoints").join(std::process::id().to_string()));
        }
        config(id, settings, &given)
    }
}
