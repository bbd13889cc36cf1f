//! What a document is turned into: the shape with its names at hand, compiled once per schema.
use super::{
    name_index::{NameIndex, NamePrint},
    options::{EncodeOptions, UnknownFields},
};
use crate::{
    SchemaError,
    encode::binary::put_count,
    fault::SchemaFault,
    schema::{Branch, Member, NullBranch, Shape, Type},
};
use std::sync::Arc;

/// Supplied fields: each has a bit of a word.
const MAX_SUPPLIED: usize = 64;

/// How a value is written.
#[derive(Debug)]
pub(super) enum Form {
    Null,
    Int,
    Long,
    Double,
    String,
    /// Any other type without members.
    Scalar(Shape),
    Duration,
    Union(Box<UnionForm>),
    Array(Box<Form>),
    Map(Box<Form>),
    Record(Box<RecordForm>),
}

/// Kinds of JSON values, as bits.
pub(super) mod kind {
    pub(in crate::encode) const NULL: u8 = 1;
    pub(in crate::encode) const BOOLEAN: u8 = 2;
    pub(in crate::encode) const NUMBER: u8 = 4;
    pub(in crate::encode) const STRING: u8 = 8;
    pub(in crate::encode) const ARRAY: u8 = 16;
    pub(in crate::encode) const OBJECT: u8 = 32;
}

#[derive(Debug)]
pub(super) struct UnionForm {
    pub branches: Box<[BranchForm]>,
    /// The place of null.
    pub null: Option<usize>,
    /// The one branch besides null, where there is one.
    pub only: Option<usize>,
    /// Whether an object that looks tagged could be a value as it stands.
    pub ambiguous: bool,
}

#[derive(Debug)]
pub(super) struct BranchForm {
    pub form: Form,
    /// The type's name in Avro's JSON encoding.
    pub tag: Box<str>,
    /// The name without its namespace, where no other branch has it.
    pub short_tag: Option<Box<str>>,
}

#[derive(Debug)]
pub(super) struct RecordForm {
    pub members: Box<[MemberForm]>,
    index: NameIndex,
}

#[derive(Debug)]
pub(super) struct MemberForm {
    pub name: Box<str>,
    /// Of the name.
    pub print: NamePrint,
    pub form: Form,
    /// What is written when the document has no such member; `None`: it must have.
    pub missing: Option<Arc<[u8]>>,
    pub role: Role,
}

/// Where a field's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The document.
    Document,
    /// The caller; the index in the options.
    Supplied(usize),
    /// What the document claimed for a supplied field.
    Claim(usize),
    /// Fields that the schema does not have.
    Kept,
}

impl RecordForm {
    /// The member with a name.
    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let print = NamePrint::of(name);
        self.index.candidates(print).find(|index| self.members[*index].is_named(name, print))
    }
}

impl MemberForm {
    /// Whether it has this name.
    #[inline]
    pub(super) fn is_named(&self, name: &str, print: NamePrint) -> bool {
        self.print == print && (print.is_whole() || *self.name == *name)
    }
}

impl Form {
    /// The form of a type.
    pub(super) fn new(ty: &Type) -> Self {
        match ty.null {
            NullBranch::Absent => Self::of_shape(ty),
            null => Self::Union(Box::new(nullable(ty, null))),
        }
    }

    fn of_shape(ty: &Type) -> Self {
        match &ty.shape {
            Shape::Null => Self::Null,
            Shape::Int => Self::Int,
            Shape::Long => Self::Long,
            Shape::Double => Self::Double,
            Shape::String => Self::String,
            Shape::Duration => Self::Duration,
            Shape::Array(items) => Self::Array(Box::new(Self::new(items))),
            Shape::Map(values) => Self::Map(Box::new(Self::new(values))),
            Shape::Record(members) => Self::Record(Box::new(RecordForm::new(members))),
            Shape::Union(branches) => Self::Union(Box::new(general(branches))),
            scalar => Self::Scalar(scalar.clone()),
        }
    }

    /// The kinds of JSON values that could be one of this.
    pub(super) fn kinds(&self) -> u8 {
        use kind::{ARRAY, BOOLEAN, NULL, NUMBER, OBJECT, STRING};
        match self {
            Self::Null => NULL,
            Self::Int | Self::Long => NUMBER,
            Self::Double => NUMBER | STRING,
            Self::String => STRING,
            Self::Duration | Self::Map(_) | Self::Record(_) => OBJECT,
            Self::Array(_) => ARRAY,
            Self::Union(union) => union.branches.iter().fold(OBJECT, |kinds, branch| kinds | branch.form.kinds()),
            Self::Scalar(shape) => match shape {
                Shape::Boolean => BOOLEAN,
                Shape::TimeMillis | Shape::TimeMicros => NUMBER,
                Shape::Date | Shape::Timestamp(_) | Shape::Float | Shape::Decimal(_) => NUMBER | STRING,
                _ => STRING,
            },
        }
    }

    /// Whether a value is a single one: no list, no object.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self, Self::Null | Self::Duration | Self::Union(_) | Self::Array(_) | Self::Map(_) | Self::Record(_))
    }

    /// Itself, or the one type besides null.
    pub(super) fn value(&self) -> &Self {
        match self {
            Self::Union(union) => union.only.map_or(self, |only| &union.branches[only].form),
            form => form,
        }
    }

    /// Writes the branch of a value that is not null.
    pub(super) fn put_branch(&self, out: &mut Vec<u8>) {
        if let Self::Union(union) = self
            && let Some(only) = union.only
        {
            put_count(out, only);
        }
    }

    /// The null of it.
    fn null(&self) -> Option<Vec<u8>> {
        match self {
            Self::Null => Some(Vec::new()),
            Self::Union(union) => union.null.map(|null| {
                let mut bytes = Vec::new();
                put_count(&mut bytes, null);
                bytes
            }),
            _ => None,
        }
    }
}

fn nullable(ty: &Type, null: NullBranch) -> UnionForm {
    let value = BranchForm::new(ty, Form::of_shape(ty));
    let nothing = BranchForm { form: Form::Null, tag: "null".into(), short_tag: None };
    let (branches, null, only) = match null {
        NullBranch::First => ([nothing, value], 0, 1),
        _ => ([value, nothing], 1, 0),
    };
    UnionForm::new(branches.into(), Some(null), Some(only))
}

fn general(branches: &[Branch]) -> UnionForm {
    let forms: Vec<BranchForm> = branches.iter().map(|branch| BranchForm::new(&branch.ty, Form::new(&branch.ty))).collect();
    let null = forms.iter().position(|branch| matches!(branch.form, Form::Null));
    let only = match forms.len() - usize::from(null.is_some()) {
        1 => (0..forms.len()).find(|index| Some(*index) != null),
        _ => None,
    };
    UnionForm::new(forms, null, only)
}

impl UnionForm {
    fn new(mut branches: Vec<BranchForm>, null: Option<usize>, only: Option<usize>) -> Self {
        for index in 0..branches.len() {
            let short = branches[index].tag.rsplit('.').next().unwrap_or_default();
            let taken = branches
                .iter()
                .enumerate()
                .any(|(other, branch)| other != index && (&*branch.tag == short || branch.tag.rsplit('.').next() == Some(short)));
            branches[index].short_tag = (!taken && *short != *branches[index].tag).then(|| short.into());
        }
        let tags: Vec<&str> = branches.iter().flat_map(|branch| [Some(&*branch.tag), branch.short_tag.as_deref()]).flatten().collect();
        let ambiguous = branches.iter().any(|branch| match &branch.form {
            Form::Map(_) => true,
            Form::Record(record) => tags.iter().any(|tag| record.find(tag).is_some()),
            _ => false,
        });
        Self { ambiguous, branches: branches.into(), null, only }
    }

    /// The branch that a tag names.
    pub(super) fn tagged(&self, tag: &str) -> Option<usize> {
        self.branches.iter().position(|branch| &*branch.tag == tag || branch.short_tag.as_deref() == Some(tag))
    }

    /// The branches that a kind of value could be of.
    pub(super) fn candidates(&self, kind: u8) -> impl Iterator<Item = usize> + '_ {
        (0..self.branches.len()).filter(move |index| self.branches[*index].form.kinds() & kind != 0)
    }
}

impl BranchForm {
    fn new(ty: &Type, form: Form) -> Self {
        let tag = ty.name.as_deref().unwrap_or_else(|| ty.shape.base_name());
        Self { form, tag: tag.into(), short_tag: None }
    }
}

impl RecordForm {
    pub(super) fn new(members: &[Member]) -> Self {
        let members: Box<[MemberForm]> = members.iter().map(MemberForm::new).collect();
        let index = NameIndex::new(members.iter().map(|member| member.print));
        Self { members, index }
    }

    /// Gives the fields of the top level their roles.
    ///
    /// # Errors
    /// All options that the schema does not fit.
    pub(super) fn assign(&mut self, options: &EncodeOptions) -> Result<(), SchemaError> {
        let mut faults = Vec::new();
        if options.supplied.len() > MAX_SUPPLIED {
            faults.push(fault("schema", "at most 64 fields can have values from outside"));
        }
        for (index, supplied) in options.supplied.iter().enumerate() {
            faults.extend(self.give_role(&supplied.field, Role::Supplied(index)));
            if let Some(target) = supplied.conflict.keeps_in() {
                faults.extend(self.give_role(target, Role::Claim(index)));
            }
        }
        if let UnknownFields::KeepIn(field) = &options.unknown_fields {
            faults.extend(self.give_role(field, Role::Kept));
        }
        if let Some(key) = &options.key {
            match self.find(key) {
                None => faults.push(fault(key, "the schema has no such field, so it cannot be the record's key")),
                Some(index) if !self.members[index].form.value().is_scalar() => {
                    faults.push(fault(key, "the record's key must be a field of one value, or of one value and null"));
                }
                Some(_) => {}
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(SchemaError { faults }) }
    }

    fn give_role(&mut self, field: &str, role: Role) -> Option<SchemaFault> {
        let Some(index) = self.find(field) else { return Some(fault(field, "the schema has no such field, which the settings name")) };
        let member = &mut self.members[index];
        if member.role != Role::Document {
            return Some(fault(field, "the settings give this field two meanings"));
        }
        let fits = match (role, member.form.value()) {
            (Role::Supplied(_), form) => form.is_scalar(),
            (Role::Claim(_), Form::String) => member.missing.is_some(),
            (Role::Kept, Form::Map(values)) => matches!(values.value(), Form::String),
            _ => false,
        };
        member.role = role;
        (!fits).then(|| {
            fault(
                field,
                match role {
                    Role::Claim(_) => "the field that keeps claims must be a string that may be null or has a default",
                    Role::Kept => "the field that keeps unknown fields must be a map of strings",
                    _ => "a field with a value from outside must be a field of one value, or of one value and null",
                },
            )
        })
    }
}

fn fault(path: &str, what: &str) -> SchemaFault {
    SchemaFault { path: path.to_owned(), what: what.to_owned() }
}

impl MemberForm {
    fn new(member: &Member) -> Self {
        let form = Form::new(&member.ty);
        let missing = member.default.clone().or_else(|| form.null().map(Into::into));
        let print = NamePrint::of(&member.avro_name);
        Self { name: member.avro_name.as_str().into(), print, form, missing, role: Role::Document }
    }
}
