// The release after this one, as far as others can tell: it has a version of the schema more.

#include "storage/postgres/schema_steps.hpp"

namespace cpns::storage {
namespace {

/// Programs that know version 1 alone go on, and insert rows without it.
schema_step::statements add_origin(postgres_statements) {
  return {"ALTER TABLE cpns_entities ADD COLUMN IF NOT EXISTS origin bigint"};
}

/// Only when no program leaves rows without an origin any more.
schema_step::statements require_origin(postgres_statements) {
  return {"ALTER TABLE cpns_entities ALTER COLUMN origin SET DEFAULT 1",
          "UPDATE cpns_entities SET origin = 1 WHERE origin IS NULL",
          "ALTER TABLE cpns_entities ALTER COLUMN origin SET NOT NULL"};
}

}  // namespace

std::span<const schema_step> schema_steps() {
  static constexpr schema_step steps[] = {{1, first_tables, nullptr}, {2, add_origin, require_origin}};
  return steps;
}

}  // namespace cpns::storage
