"""Results for people: tables, charts and the blocks of HTML pages."""
