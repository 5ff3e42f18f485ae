#pragma once
// The refusals of a request whose body is too long, broken, too slow, or one too many. Private to api/.

#include <boost/system/error_code.hpp>
#include <string>

#include "api/http.hpp"
#include "api/http_server.hpp"
#include "api/problem.hpp"
#include "api/routes.hpp"

namespace cpns::api::detail {

problem body_too_large(const route& to);
/// More than `at_once` of the route.
problem too_many_at_once(const route& to);
/// `why`: of reading it, other than a body that is too long.
problem broken_body(const boost::system::error_code& why);
/// The sentence for a part that did not come within part_time.
std::string slow_body_text(const http_limits& most);

}  // namespace cpns::api::detail
