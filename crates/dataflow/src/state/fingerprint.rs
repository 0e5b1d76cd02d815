//! stub
/// The shape.
pub fn shape_of<T>() -> String {
    std::any::type_name::<T>().to_owned()
}
