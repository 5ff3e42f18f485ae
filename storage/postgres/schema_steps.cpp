#include "storage/postgres/schema_steps.hpp"

namespace cpns::storage {

std::span<const schema_step> schema_steps() {
  static constexpr schema_step steps[] = {{1, first_tables, nullptr}};
  return steps;
}

}  // namespace cpns::storage
