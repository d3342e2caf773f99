def write_report(p, q):
    (p.path/"report.html").write_text("x"); return p.path/"report.html"
