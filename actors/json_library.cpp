// Boost.JSON is header-only here; its definitions are compiled once, in this file.
#include <boost/json/src.hpp>
