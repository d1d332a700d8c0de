"""A column more, and a first row."""

from django.db import migrations, models


def add_sample(apps, _editor):
    apps.get_model("django_shop", "Item").objects.create(name="sample", stock=1)


class Migration(migrations.Migration):
    dependencies = [("django_shop", "0001_initial")]
    operations = [
        migrations.AddField("Item", "details", models.JSONField(null=True)),
        migrations.RunPython(add_sample, migrations.RunPython.noop),
    ]
