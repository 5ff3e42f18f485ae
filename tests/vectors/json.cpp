// Compiles Boost.JSON from its headers, so that Debian's header package is enough.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include <boost/json/src.hpp>
#pragma GCC diagnostic pop
