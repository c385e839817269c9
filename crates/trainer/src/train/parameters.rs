//! A module's parameters by name.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, TensorData};

use crate::random::Random;

/// Parameters and running statistics by their path in the module.
pub(crate) type Named = BTreeMap<String, TensorData>;

/// Parameters that learn: those whose path begins with `prefix`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) prefix: String,
    /// On the run's learning rate; 0 freezes.
    pub(crate) factor: f64,
}

impl Group {
    pub(crate) fn new(prefix: &str, factor: f64) -> Self {
        Self {
            prefix: prefix.to_owned(),
            factor,
        }
    }
}

/// The factor of a parameter: that of the last group that names it. `None` where it is frozen.
fn factor(groups: &[Group], name: &str) -> Option<f64> {
    groups
        .iter()
        .rev()
        .find(|group| name.starts_with(&group.prefix))
        .map(|group| group.factor)
        .filter(|factor| *factor != 0.0)
}

/// All parameters of a module.
pub(crate) fn collect<M: Module>(module: &M) -> Result<Named> {
    let mut collector = Collector::default();
    // Running statistics are complete only after the change to evaluation.
    module.valid().visit(&mut collector);
    if let Some(error) = collector.error {
        return Err(error);
    }
    Ok(collector.found)
}

/// The parameter called `name`.
pub(crate) fn values_of(values: &Named, name: &str) -> Result<Vec<f32>> {
    let Some(data) = values.get(name) else {
        bail!("there is no parameter `{name}`");
    };
    Ok(data.iter::<f32>().collect())
}

/// Replaces the parameters that `values` names. A name that the module does not know, or another shape, is an
/// error.
pub(crate) fn restore<M: Module>(module: M, values: Named) -> Result<M> {
    let mut restorer = Restorer {
        path: Vec::new(),
        values,
        error: None,
    };
    let module = module.map(&mut restorer);
    if let Some(error) = restorer.error {
        return Err(error);
    }
    if let Some(name) = restorer.values.keys().next() {
        bail!("the network has no parameter `{name}`: the file is another network's");
    }
    Ok(module)
}

/// Random values (He's, for layers followed by a ReLU) for all parameters under `prefix` that are matrices or
/// kernels; vectors keep what they have. The same seed gives the same values.
pub(crate) fn initialise<M: Module>(module: M, prefix: &str, seed: u64) -> Result<M> {
    let values = collect(&module)?
        .into_iter()
        .enumerate()
        .filter(|(_, (name, data))| name.starts_with(prefix) && data.shape().len() > 1)
        .map(|(at, (name, data))| {
            let shape: Vec<usize> = data.shape().to_vec();
            let mut random = Random::of(&[seed, at as u64]);
            // A matrix is stored as `[in, out]`, a kernel as `[out, in, height, width]`.
            let inputs: usize = match shape[..] {
                [inputs, _] => inputs,
                _ => shape[1..].iter().product(),
            };
            let deviation = (2.0 / inputs as f64).sqrt();
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|_| (random.normal() * deviation) as f32)
                .collect();
            (name, TensorData::new(values, shape))
        })
        .collect();
    restore(module, values)
}

/// Lets the parameters of `groups` learn and freezes the others. Each gets an id that follows from its path, so
/// that an optimiser's state finds it again in another process.
pub(super) fn set_learning<M: Module>(module: M, groups: &[Group]) -> M {
    module.map(&mut Learner {
        path: Vec::new(),
        groups,
    })
}

/// The parameters that learn, with their factors.
pub(super) fn learning<M: Module>(module: &M, groups: &[Group]) -> Vec<(f64, Vec<ParamId>)> {
    let mut lister = Lister {
        path: Vec::new(),
        groups,
        found: Vec::new(),
    };
    module.visit(&mut lister);
    lister.found
}

fn id_of(path: &str) -> ParamId {
    // FNV-1a: any function without collisions among some hundred names would do.
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ParamId::from(hash)
}

#[derive(Default)]
struct Collector {
    path: Vec<String>,
    found: Named,
    error: Option<anyhow::Error>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match param.val().try_into_data_as::<f32>() {
            Ok(data) => {
                self.found.insert(self.path.join("."), data);
            }
            Err(error) => self.error = Some(error.into()),
        }
    }
}

struct Restorer {
    path: Vec<String>,
    values: Named,
    error: Option<anyhow::Error>,
}

impl ModuleMapper for Restorer {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        let Some(data) = self.values.remove(&name) else {
            return param;
        };
        let check = || {
            let (got, expected) = (data.shape().to_vec(), param.shape().to_vec());
            ensure!(
                got == expected,
                "`{name}` has shape {got:?}; the network needs {expected:?}"
            );
            Ok(())
        };
        if let Err(error) = check() {
            self.error = Some(error);
            return param;
        }
        param.map(|old| {
            let requires = old.is_require_grad();
            let new = Tensor::from_data(data, &old.device());
            if requires { new.require_grad() } else { new }
        })
    }
}

struct Learner<'a> {
    path: Vec<String>,
    groups: &'a [Group],
}

impl ModuleMapper for Learner<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        let learns = factor(self.groups, &name).is_some();
        let (_, value, mapper) = param.consume();
        Param::from_mapped_value(id_of(&name), value.detach(), mapper).set_require_grad(learns)
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        // Normalisation that is frozen also keeps its statistics.
        let learns = factor(self.groups, &self.path.join(".")).is_some();
        flag.with_value(learns)
    }
}

struct Lister<'a> {
    path: Vec<String>,
    groups: &'a [Group],
    found: Vec<(f64, Vec<ParamId>)>,
}

impl ModuleVisitor for Lister<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(factor) = factor(self.groups, &self.path.join(".")) else {
            return;
        };
        match self.found.iter_mut().find(|(other, _)| *other == factor) {
            Some((_, ids)) => ids.push(param.id),
            None => self.found.push((factor, vec![param.id])),
        }
    }
}
