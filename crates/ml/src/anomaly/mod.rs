//! Anomalies: how unlike what came before a record is. A score is higher the stranger a record is; it is scored before it is learnt.

pub mod half_space_trees;
pub mod robust_z_score;
pub mod seasonal_residual;

pub use half_space_trees::HalfSpaceTrees;
pub use robust_z_score::RobustZScore;
pub use seasonal_residual::SeasonalResidual;
