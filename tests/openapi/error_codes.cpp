// Prints a line for each error of base/errc.hpp: its code as a problem of the HTTP API, and its HTTP status.
#include <cstdio>

#include "api/problem.hpp"

int main() {
  for (const auto e : {
#define CPNS_X(name, number, text) cpns::errc::name,
           CPNS_ERRORS(CPNS_X)
#undef CPNS_X
       }) {
    const cpns::api::problem p{cpns::error{e}};
    std::printf("%s %u\n", p.code.c_str(), p.status);
  }
}
