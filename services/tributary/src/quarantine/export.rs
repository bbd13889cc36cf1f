use super::refused::{self, Exported, RefusedRecord};
use crate::cli::ExportFormat;
use crate::context::Context;
use crate::output::ExitCode;
use anyhow::Context as _;
use futures::StreamExt;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Where exported records go.
enum Target<'a> {
    Stdout,
    File(BufWriter<File>),
    Folder(&'a Path),
}

impl<'a> Target<'a> {
    fn open(to: &'a Path, format: ExportFormat) -> anyhow::Result<Self> {
        if format == ExportFormat::Raw {
            fs::create_dir_all(to).with_context(|| format!("make folder `{}`", to.display()))?;
            return Ok(Self::Folder(to));
        }
        if to == Path::new("-") {
            return Ok(Self::Stdout);
        }
        let file = File::create(to).with_context(|| format!("make file `{}`", to.display()))?;
        Ok(Self::File(BufWriter::new(file)))
    }

    fn write(&mut self, record: &RefusedRecord, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Stdout => context.output.json(&Exported::from(record)),
            Self::File(file) => {
                serde_json::to_writer(&mut *file, &Exported::from(record))?;
                Ok(file.write_all(b"\n")?)
            }
            Self::Folder(folder) => {
                let path = folder.join(format!("{}-{}-{}.bin", record.topic, record.kafka_partition, record.offset));
                fs::write(&path, record.value.as_deref().unwrap_or_default()).with_context(|| format!("write `{}`", path.display()))
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        if let Self::File(mut file) = self {
            file.flush()?;
        }
        Ok(())
    }
}

/// Writes the records that a statement selects.
pub async fn run(name: &str, statement: &str, (to, format): (&Path, ExportFormat), context: &Context) -> anyhow::Result<ExitCode> {
    let (table, _) = context.table(name)?;
    let session = refused::open(&table, context).await?;
    let mut target = Target::open(to, format)?;
    let (_, mut rows) = session.stream(statement, None).await?;
    let progress = context.output.progress("refused records", None);
    let mut exported: u64 = 0;
    while let Some(batch) = rows.next().await {
        for record in refused::records(&batch?)? {
            target.write(&record, context)?;
            progress.add(1);
            exported += 1;
        }
    }
    drop(progress);
    target.finish()?;
    context.output.note(&format!("{exported} records exported"));
    Ok(ExitCode::Done)
}
