#include "audit/trail.hpp"

namespace cpns::audit {

outcome outcome_of(const status& done) {
  if (done) return {};
  const auto code = done.error().code;
  if (may_be_done(code)) return {verdict::unknown, done.error().message()};
  const bool rule =
      fault_of(code) == fault::state || fault_of(code) == fault::config || fault_of(code) == fault::peer;
  return {rule ? verdict::refused : verdict::failed, done.error().message()};
}

}  // namespace cpns::audit
